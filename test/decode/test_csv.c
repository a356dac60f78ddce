/*
 * test_csv.c — CSV records and their fields, headers, and the retail case's shapes (made-up data).
 */
#include "rig.h"

static const TxdCsvOptions plain = {',', '"', true, false, ""};

/*
 * Cuts a text into records the way a file reader does, feeding it in pieces of `step` bytes; the
 * result is "length:line ends" of each.
 */
static const char *
cut(const char *text, size_t step)
{
	static char shown[400];
	size_t len = strlen(text);
	size_t pos = 0;
	size_t seen = step < len ? step : len;

	shown[0] = '\0';
	while (pos < len)
	{
		char *copy = malloc(seen - pos + 1);
		size_t ends;
		size_t n;

		memcpy(copy, text + pos, seen - pos);
		n = txd_csv_record(&plain, copy, seen - pos, seen == len, &ends);
		free(copy);
		if (n == 0 && seen == len)
			return "stuck";
		if (n == 0)
			seen = seen + step < len ? seen + step : len;
		else
			snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%zu:%zu ", n, ends);
		pos += n;
	}
	return shown;
}

static void
check_cut(const char *text, const char *want)
{
	for (size_t step = 1; step < 12; step += 2)
		CHECK_STR(cut(text, step), want);
	CHECK_STR(cut(text, strlen(text)), want);
}

static void
test_records(void)
{
	size_t ends;

	check_cut("a,b\nc,d\n", "4:1 4:1 ");
	check_cut("a,b\r\nc,d\r\n", "5:1 5:1 ");
	check_cut("a,b\nc,d", "4:1 3:0 ");
	check_cut("a,b\r", "4:0 ");
	check_cut("\n\r\na\n", "1:1 2:1 2:1 ");
	check_cut("a,\"x\ny\",b\nc\n", "10:2 2:1 ");
	check_cut("\"x\r\n\r\ny\"\r\nc\n", "10:3 2:1 ");
	check_cut("\"a\"\"\n\"\n\"\"\n", "7:2 3:1 ");
	check_cut("\"a\"", "3:0 ");
	check_cut("\"a\"\r", "4:0 ");
	check_cut("\xef\xbb\xbf\"a\nb\"\nc\n", "9:2 2:1 ");
	/* quotes and backslashes inside an unquoted field are data */
	check_cut("a\"b\nc\"\n", "4:1 3:1 ");
	check_cut("a\\\n\"b\\\"\n", "3:1 5:1 ");
	/* a quote that never closes, or closes in a place that makes no sense, costs one line */
	check_cut("1,\"a\n2,b\n3,c\n", "5:1 4:1 4:1 ");
	check_cut("1,\"a\n2,\"b\"\n3,c\n", "5:1 6:1 4:1 ");
	check_cut("1,\"a\"x\n2,b\n", "7:1 4:1 ");
	check_cut("1,\"a", "4:0 ");
	CHECK_INT(txd_csv_record(&plain, NULL, 0, true, &ends), 0);
	CHECK_INT(txd_csv_record(&plain, "\"a\"\n", 3, false, &ends), 0);
}

/* However large the file is that goes on behind it, and though its end is not in sight. */
static void
test_long_records(void)
{
	size_t len = TXD_CSV_MAX_QUOTED + 5;
	char *text = malloc(len);
	size_t ends;

	memset(text, 'x', len);
	memcpy(text, "1,\"a\n", 5);
	CHECK_INT(txd_csv_record(&plain, text, len - 5, false, &ends), 0);
	CHECK_INT(txd_csv_record(&plain, text, len, false, &ends), 5);
	CHECK_INT(ends, 1);
	memcpy(text + len - 3, "\"\n2", 3);
	CHECK_INT(txd_csv_record(&plain, text, len, false, &ends), len - 1);
	/* without a line end there is no line to give up */
	memset(text, 'x', len);
	CHECK_INT(txd_csv_record(&plain, text, len, false, &ends), 0);
	free(text);
}

/* Messages: no header, fields by number. */
static void
test_messages(void)
{
	TxdColumn cols[] = {{.name = "a", .type = TXD_STRING},
						{.name = "n", .type = TXD_INT4},
						{.name = "b", .type = TXD_STRING, .default_text = "d"}};
	TxdSchema schema = {.format = TXD_CSV};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "x,1,y", "x\t1\ty");
	CHECK_ROW(&rig, "x,1,y\n", "x\t1\ty");
	CHECK_ROW(&rig, "x,1,y\r\n", "x\t1\ty");
	CHECK_ROW(&rig, "x,1,y\r", "x\t1\ty");
	CHECK_ROW(&rig, "\xef\xbb\xbfx,1,y", "x\t1\ty");
	CHECK_ROW(&rig, ",,", "\\N\t\\N\t\\N");
	CHECK_ROW(&rig, "\"\",1,\"\"", "\t1\t");
	CHECK_ROW(&rig, "x,\"\",y", "bad_value n");
	CHECK_ROW(&rig, "\"a,b\n\"\"c\"\"\",1,y", "a,b\\n\"c\"\t1\ty");
	CHECK_ROW(&rig, "\"\"\"\"\"\",\"1\",y\r\n", "\"\"\t1\ty");
	CHECK_ROW(&rig, "it's \"data\" \\n,1,C:\\dir\\", "it's \"data\" \\\\n\t1\tC:\\\\dir\\\\");
	CHECK_ROW(&rig, " x , 1 , \"y\"", " x \t 1 \t \"y\"");
	CHECK_ROW(&rig, "x,1", "missing_field b");
	CHECK_MESSAGE(&rig, "2 fields instead of 3");
	CHECK_ROW(&rig, "", "missing_field n");
	CHECK_ROW(&rig, "x,1,y,", "extra_field -");
	CHECK_ROW(&rig, "x,1,\"y", "bad_csv -");
	CHECK_ROW(&rig, "x,1,\"y\n", "bad_csv -");
	CHECK_ROW(&rig, "x,1,\"y\"z", "bad_csv -");
	CHECK_ROW(&rig, "x,1,y\nx,2,y\n", "bad_csv -");
	CHECK_ROW(&rig, "x,1,\"y\"\nx,2,y\n", "bad_csv -");
	CHECK_ROW(&rig, "caf\xe9,1,y", "bad_encoding a");
	CHECK_STR(rig_decode(&rig, "x\0z,1,y", 7), "nul_byte a");
	CHECK_ROW(&rig, "x,2147483648,y", "out_of_range n");
	rig_close(&rig);
}

static void
test_numbers(void)
{
	static const char *third[] = {"3"};
	static const char *some[] = {"9", "1"};
	static const char *bad[] = {"0"};
	TxdColumn cols[] = {{.name = "a", .type = TXD_STRING, .npaths = 1, .paths = third},
						{.name = "b", .type = TXD_STRING, .npaths = 2, .paths = some},
						{.name = "v", .type = TXD_STRING, .source = TXD_FROM_VALUE}};
	TxdSchema schema = {.format = TXD_CSV, .csv = {';', '\'', false, true, "-"}};
	TxdError err = {0};
	Rig rig;

	COLUMNS(schema, cols);
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "x;y;z\r\n", "z\tx\tx;y;z");
	CHECK_ROW(&rig, "x;;;;;;;;-;10;11", "\t\\N\tx;;;;;;;;-;10;11");
	CHECK_ROW(&rig, "'-';'a;b'", "\\N\t-\t'-';'a;b'");
	rig_close(&rig);
	cols[0].paths = bad;
	CHECK(txd_new(&schema, &err) == NULL);
	CHECK_STR(err.code, "bad_value");
	CHECK(err.column == cols[0].name);
}

/* Binds a header and decodes one record; the refusal of either is shown alike. */
static const char *
with_header(TxdSchema *schema, const char *header, const char *record)
{
	static Rig rig;
	static char shown[sizeof(rig.shown)];

	rig_open(&rig, schema);
	if (txd_bind_header(rig.d, header, strlen(header), &rig.err))
		snprintf(shown, sizeof(shown), "%s", DECODE(&rig, record));
	else
		snprintf(shown, sizeof(shown), "header: %s %s", rig.err.code,
				 rig.err.column != NULL ? rig.err.column : "-");
	rig_close(&rig);
	return shown;
}

static void
test_header(void)
{
	static const char *names[] = {"customer_lname", "cusomter_lname"};
	TxdColumn cols[] = {{.name = "id", .type = TXD_INT4, .not_null = true},
						{.name = "last_name", .type = TXD_STRING, .npaths = 2, .paths = names},
						{.name = "opt", .type = TXD_STRING, .default_text = "none"},
						{.name = "line", .type = TXD_INT8, .source = TXD_FROM_LINE}};
	TxdSchema schema = {.format = TXD_CSV, .csv = {',', '"', true, false, ""}};
	TxdError err = {0};
	Rig rig;

	COLUMNS(schema, cols);
	CHECK_STR(with_header(&schema, "id,customer_lname,opt", "1,Stone,o"), "1\tStone\to\t0");
	CHECK_STR(with_header(&schema, "opt,cusomter_lname,id\r\n", "o,Stone,1\r\n"), "1\tStone\to\t0");
	CHECK_STR(with_header(&schema, "\xef\xbb\xbfid , customer_lname", "1,Stone"),
			  "1\tStone\tnone\t0");
	CHECK_STR(with_header(&schema, "\xef\xbb\xbf\"id\",\"customer_lname\"", "1,Stone"),
			  "1\tStone\tnone\t0");
	CHECK_STR(with_header(&schema, "ID,CustomerLname,x", "1,Stone,x"), "1\tStone\tnone\t0");
	CHECK_STR(with_header(&schema, "id,Customer_Lname,cusomter_lname", "1,a,b"), "1\tb\tnone\t0");
	CHECK_STR(with_header(&schema, "id,cusomter_lname,customer_lname", "1,a,b"), "1\tb\tnone\t0");
	CHECK_STR(with_header(&schema, "id,id,opt", "1,2,3"), "header: duplicate_field id");
	CHECK_STR(with_header(&schema, "ID,Id,opt", "1,2,3"), "header: ambiguous_field id");
	CHECK_STR(with_header(&schema, "id,x,x", "1,2,3"), "1\t\\N\tnone\t0");
	CHECK_STR(with_header(&schema, "customer_lname,opt", "a,b"), "header: missing_field id");
	CHECK_STR(with_header(&schema, "", ""), "header: missing_field id");
	CHECK_STR(with_header(&schema, "id,opt\r1,a\r2,b\r", ""), "header: bad_csv -");
	cols[0].not_null = false;
	CHECK_STR(with_header(&schema, "id;customer_lname;opt", "1;Stone;o"),
			  "header: missing_field -");
	CHECK_STR(with_header(&schema, "opt;x,opt", "1,o"), "\\N\t\\N\to\t0");
	cols[0].not_null = true;
	CHECK_STR(with_header(&schema, "id,\"customer_lname", "1,a"), "header: bad_csv -");
	CHECK_STR(with_header(&schema, "id,caf\xe9", "1,a"), "header: bad_encoding -");
	CHECK_STR(with_header(&schema, "id,\"a\"\"\",\"\"\"b\"", "1,a,b"), "1\t\\N\tnone\t0");
	CHECK_STR(with_header(&schema, "id,customer_lname", "1"), "missing_field last_name");
	CHECK_STR(with_header(&schema, "id,x", "1"), "missing_field -");
	CHECK_STR(with_header(&schema, "id", "1,2"), "extra_field -");
	CHECK_STR(with_header(&schema, "id", ""), "missing_value id");
	schema.csv.ragged = true;
	CHECK_STR(with_header(&schema, "id,customer_lname,opt", "1"), "1\t\\N\tnone\t0");
	CHECK_STR(with_header(&schema, "opt,id", "1"), "missing_value id");
	CHECK_STR(with_header(&schema, "id,opt", "1,2,3"), "extra_field -");
	rig_open(&rig, &schema);
	CHECK_ROW(&rig, "1,2", "bad_csv -");
	CHECK(txd_bind_header(rig.d, "id", 2, &err));
	CHECK(!txd_bind_header(rig.d, "id", 2, &err));
	rig.message.line = 17;
	CHECK_ROW(&rig, "1", "1\t\\N\tnone\t17");
	rig_close(&rig);
}

static const char *fname[] = {"customer_fname"};
static const char *lname[] = {"customer_lname", "cusomter_lname"};
static const char *email[] = {"customer_email", "cusomter_email"};
static const char *address[] = {"shipping_address"};

static TxdColumn sale[] = {
	{.name = "transaction_date", .type = TXD_DATE, .not_null = true},
	{.name = "transaction_id", .type = TXD_STRING, .not_null = true},
	{.name = "customer_id", .type = TXD_INT8, .not_null = true, .convert = TXD_AS_WHOLE},
	{.name = "first_name", .type = TXD_STRING, .npaths = 1, .paths = fname},
	{.name = "last_name", .type = TXD_STRING, .npaths = 2, .paths = lname},
	{.name = "email", .type = TXD_STRING, .npaths = 2, .paths = email, .convert = TXD_AS_EMAIL},
	{.name = "branch_id", .type = TXD_INT8, .convert = TXD_AS_WHOLE},
	{.name = "offer_1", .type = TXD_BOOL},
	{.name = "unit_price", .type = TXD_NUMERIC, .precision = 12, .scale = 2},
	{.name = "is_online", .type = TXD_BOOL},
	{.name = "street", .type = TXD_STRING, .npaths = 1, .paths = address, .convert = TXD_AS_STREET},
	{.name = "city", .type = TXD_STRING, .npaths = 1, .paths = address, .convert = TXD_AS_CITY},
	{.name = "state", .type = TXD_STRING, .npaths = 1, .paths = address, .convert = TXD_AS_STATE},
	{.name = "postal_code",
	 .type = TXD_STRING,
	 .npaths = 1,
	 .paths = address,
	 .convert = TXD_AS_POSTAL_CODE},
};

/* Deliveries of one shop: spellings, column orders, ragged rows, junk; all cells are invented. */
static void
test_retail(void)
{
	static const char header[] = "transaction_date,transaction_id,customer_id,customer_fname,"
								 "cusomter_lname,cusomter_email,branch_id,offer_1,unit_price,"
								 "is_online,shipping_address\r\n";
	TxdSchema schema = {.format = TXD_CSV, .csv = {',', '"', true, true, ""}};

	COLUMNS(schema, sale);
	CHECK_STR(with_header(&schema, header,
						  "2023-5-20,trx-1,501,Ada,Stone,ada.stone@gmail.com#4r,2,,79.99,no\r\n"),
			  "2023-05-20\ttrx-1\t501\tAda\tStone\tada.stone@gmail.com\t2\t\\N\t79.99\tno"
			  "\t\\N\t\\N\t\\N\t\\N");
	CHECK_STR(with_header(&schema, header,
						  "2022-12-1,trx-2,502.0,Ben,Rye,\"ben.rye@yahoo.com\"\"\",,True,1000,yes,"
						  "7 1/2 Hill Street/Salem/MA/01970\r\n"),
			  "2022-12-01\ttrx-2\t502\tBen\tRye\tben.rye@yahoo.com\t\\N\tTrue\t1000\tyes"
			  "\t7 1/2 Hill Street\tSalem\tMA\t01970");
	CHECK_STR(
		with_header(&schema, header,
					"2022-2-5,trx-3,503,Cy,Ash,cy.ash@hotmail.com\\,,,5.5,yes,1 Oak//TX/75001"),
		"2022-02-05\ttrx-3\t503\tCy\tAsh\tcy.ash@hotmail.com\t\\N\t\\N\t5.5\tyes"
		"\t1 Oak\t\\N\tTX\t75001");
	/* another delivery: BOM, the other spelling, other order, two further columns */
	CHECK_STR(
		with_header(&schema,
					"\xef\xbb\xbflogs,customer_email,customer_lname,customer_fname,customer_id,"
					"transaction_id,transaction_date,source,unit_price,is_online,branch_id,"
					"offer_1,shipping_address\n",
					"l,dee.fox@outlook.comm,Fox,Dee,504,trx-4,2023-10-25,web,9.90,no,3.0,\n"),
		"2023-10-25\ttrx-4\t504\tDee\tFox\tdee.fox@outlook.com\t3\t\\N\t9.90\tno"
		"\t\\N\t\\N\t\\N\t\\N");
	CHECK_STR(with_header(&schema, header, "2023-5-20,trx-5,501.5,A,B,c,2,,79.99,no"),
			  "bad_value customer_id");
	CHECK_STR(with_header(&schema, header, "2023-5-20,trx-5,501,A,B,c,2,,79.999,no"),
			  "excess_scale unit_price");
	CHECK_STR(with_header(&schema, header, "2023-2-30,trx-5,501,A,B,c,2,,79.99,no"),
			  "out_of_range transaction_date");
	CHECK_STR(with_header(&schema, header, "2023-5-20,,501,A,B,c,2,,79.99,no"),
			  "missing_value transaction_id");
	CHECK_STR(with_header(&schema, header, "2023-5-20,trx-5,501,A,B,c,2,perhaps,79.99,no"),
			  "bad_value offer_1");
	CHECK_STR(with_header(&schema, header, "2023-5-20,trx-5,501,A,B,c,2,,79.99,yes,1 Oak/TX/75001"),
			  "bad_value street");
}

int
main(void)
{
	test_records();
	test_long_records();
	test_messages();
	test_numbers();
	test_header();
	test_retail();
	return check_done("csv");
}
