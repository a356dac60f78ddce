/*
 * proto_cli.c — compiles .proto files into a FileDescriptorSet on standard output, for comparison with protoc:
 *
 *   proto_cli NAME=PATH...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/proto_text.h"

static void
read_file(const char *path, TxdBuf *text)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	do
	{
		n = fread(txd_buf_reserve(text, 65536), 1, 65536, file);
		text->len += n;
	} while (n > 0);
	fclose(file);
}

/* A member of field 1 of the set. */
static void
put_member(const TxdBuf *descriptor)
{
	size_t rest = descriptor->len;

	putchar(0x0a);
	for (; rest > 0x7f; rest >>= 7)
		putchar((int) (rest & 0x7f) | 0x80);
	putchar((int) rest);
	fwrite(descriptor->data, 1, descriptor->len, stdout);
}

int
main(int argc, char **argv)
{
	TxdBuf text = {0};
	TxdBuf descriptor = {0};

	for (int i = 1; i < argc; i++)
	{
		char *path = strchr(argv[i], '=');
		TxdError err = {0};

		if (path == NULL)
			return 2;
		*path++ = '\0';
		text.len = descriptor.len = 0;
		read_file(path, &text);
		if (!txd_proto_compile(argv[i], text.data, text.len, &descriptor, &err))
		{
			fprintf(stderr, "%s: %s\n", err.code, err.message);
			return 1;
		}
		put_member(&descriptor);
	}
	txd_buf_free(&text);
	txd_buf_free(&descriptor);
	return 0;
}
