/*
 * option_table.c — every option users can write, with its type, default, range and meaning.
 *
 * Options of servers and user mappings are librdkafka's properties with "_" for ".", with the ranges of its
 * CONFIGURATION.md. The list is closed: a property that is not here is refused, because some load code
 * (plugin_library_paths, ssl_engine_location, ssl_providers), run a command (sasl_kerberos_kinit_cmd), read
 * files as the server's operating system user (everything named _location), or write internals to the log
 * (debug). Absent, too, are what txpipe decides itself (groups, commits, offset resets) and log-in by
 * GSSAPI, which runs the command, and by OAUTHBEARER, which Debian's librdkafka has only for testing.
 */
#include "postgres.h"

#include "option_table.h"

const TxpOption txp_options[] = {
	{TXP_OPTION_SERVER, "bootstrap_servers", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Brokers to ask first: host:port, comma-separated; required"},
	{TXP_OPTION_SERVER, "security_protocol", TXP_TYPE_CHOICE, "plaintext", 0, 0,
	 "plaintext ssl sasl_plaintext sasl_ssl", "Encryption and log-in"},
	{TXP_OPTION_SERVER, "sasl_mechanisms", TXP_TYPE_CHOICE, NULL, 0, 0,
	 "PLAIN SCRAM-SHA-256 SCRAM-SHA-512",
	 "How to log in; required with security_protocol sasl_plaintext and sasl_ssl"},
	{TXP_OPTION_SERVER, "sasl_mechanism", TXP_TYPE_CHOICE, NULL, 0, 0,
	 "PLAIN SCRAM-SHA-256 SCRAM-SHA-512", "Another name of sasl_mechanisms", "sasl.mechanisms"},
	{TXP_OPTION_SERVER, "ssl_ca_pem", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Certificates of the authorities that are trusted, in PEM form; otherwise the system's"},
	{TXP_OPTION_SERVER, "ssl_ca_file", TXP_TYPE_FILE, NULL, 0, 0, NULL,
	 "File on the server with what ssl_ca_pem takes", "ssl.ca.pem"},
	{TXP_OPTION_SERVER, "enable_ssl_certificate_verification", TXP_TYPE_BOOLEAN, "true", 0, 0, NULL,
	 "Whether the broker's certificate is verified; without it anybody can pose as the broker"},
	{TXP_OPTION_SERVER, "ssl_endpoint_identification_algorithm", TXP_TYPE_CHOICE, "https", 0, 0,
	 "https none", "https: the broker's certificate must carry its host name"},
	{TXP_OPTION_SERVER, "ssl_cipher_suites", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Cipher suites of TLS 1.2, as ciphers(1) has them; otherwise OpenSSL's"},
	{TXP_OPTION_SERVER, "client_id", TXP_TYPE_TEXT, "txpipe", 0, 0, NULL,
	 "Name the brokers see in their logs and quotas"},
	{TXP_OPTION_SERVER, "client_rack", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Where this server stands (the brokers' broker.rack), to read from a replica nearby"},
	{TXP_OPTION_SERVER, "isolation_level", TXP_TYPE_CHOICE, "read_committed", 0, 0,
	 "read_committed read_uncommitted",
	 "Whether messages of open and aborted transactions are read"},
	{TXP_OPTION_SERVER, "broker_address_family", TXP_TYPE_CHOICE, "any", 0, 0, "any v4 v6",
	 "Which addresses of a broker's name are used"},
	{TXP_OPTION_SERVER, "socket_timeout_ms", TXP_TYPE_INTEGER, "60000", 10, 300000, "ms",
	 "Longest wait for a broker's answer"},
	{TXP_OPTION_SERVER, "socket_connection_setup_timeout_ms", TXP_TYPE_INTEGER, "30000", 1000,
	 2147483647, "ms", "Longest wait for a connection, TLS and log-in included"},
	{TXP_OPTION_SERVER, "socket_keepalive_enable", TXP_TYPE_BOOLEAN, "false", 0, 0, NULL,
	 "TCP keep-alives on broker connections"},
	{TXP_OPTION_SERVER, "connections_max_idle_ms", TXP_TYPE_INTEGER, "0", 0, 2147483647, "ms",
	 "A connection that idles for so long is closed; 0: never"},
	{TXP_OPTION_SERVER, "reconnect_backoff_ms", TXP_TYPE_INTEGER, "100", 0, 3600000, "ms",
	 "First pause between attempts to reach a broker; it doubles with each"},
	{TXP_OPTION_SERVER, "reconnect_backoff_max_ms", TXP_TYPE_INTEGER, "10000", 0, 3600000, "ms",
	 "Longest pause between attempts to reach a broker"},
	{TXP_OPTION_SERVER, "fetch_wait_max_ms", TXP_TYPE_INTEGER, "500", 0, 1000, "ms",
	 "Longest time a broker holds a fetch that has less than fetch_min_bytes to return; other "
	 "questions to it wait meanwhile"},
	{TXP_OPTION_SERVER, "fetch_min_bytes", TXP_TYPE_INTEGER, "1", 1, 100000000, "bytes",
	 "Fewest bytes a broker returns before fetch_wait_max_ms is over"},
	{TXP_OPTION_SERVER, "fetch_max_bytes", TXP_TYPE_INTEGER, "52428800", 0, 268435456, "bytes",
	 "Most bytes of one fetch, and of one message; at least message_max_bytes"},
	{TXP_OPTION_SERVER, "fetch_message_max_bytes", TXP_TYPE_INTEGER, "1048576", 1, 1000000000,
	 "bytes", "Bytes asked for from one partition in one fetch"},
	{TXP_OPTION_SERVER, "queued_max_messages_kbytes", TXP_TYPE_INTEGER, "32768", 1, 2097151, "kB",
	 "Most bytes of messages fetched and not yet decoded, of one stream; in memory each message "
	 "takes about 250 bytes more"},
	{TXP_OPTION_SERVER, "check_crcs", TXP_TYPE_BOOLEAN, "false", 0, 0, NULL,
	 "Verify the checksums of what brokers send"},
	{TXP_OPTION_SERVER, "message_max_bytes", TXP_TYPE_INTEGER, "1000000", 1000, 268435456, "bytes",
	 "Largest message that produce() sends"},
	{TXP_OPTION_SERVER, "compression_codec", TXP_TYPE_CHOICE, "none", 0, 0,
	 "none gzip snappy lz4 zstd", "What produce() compresses with"},
	{TXP_OPTION_SERVER, "schema_registry_url", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Schema registry of the formats avro and protobuf, http://host:port or https://host:port; of "
	 "several, "
	 "comma-separated, the first that answers"},
	{TXP_OPTION_SERVER, "schema_registry_ca_pem", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Certificates of the authorities that are trusted there, in PEM form; otherwise the system's"},
	{TXP_OPTION_SERVER, "schema_registry_ca_file", TXP_TYPE_FILE, NULL, 0, 0, NULL,
	 "File on the server with what schema_registry_ca_pem takes", "schema.registry.ca.pem"},
	{TXP_OPTION_MAPPING, "schema_registry_user_info", TXP_TYPE_SECRET, NULL, 0, 0, NULL,
	 "user:password for the schema registry"},
	{TXP_OPTION_MAPPING, "schema_registry_user_info_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with user:password for the schema registry", "schema.registry.user.info"},
	{TXP_OPTION_MAPPING, "sasl_username", TXP_TYPE_TEXT, NULL, 0, 0, NULL, "User name for SASL"},
	{TXP_OPTION_MAPPING, "sasl_password", TXP_TYPE_SECRET, NULL, 0, 0, NULL, "Password for SASL"},
	{TXP_OPTION_MAPPING, "sasl_password_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with the password for SASL", "sasl.password"},
	{TXP_OPTION_MAPPING, "ssl_certificate_pem", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Certificate the client shows, in PEM form; the first one of a chain"},
	{TXP_OPTION_MAPPING, "ssl_certificate_file", TXP_TYPE_FILE, NULL, 0, 0, NULL,
	 "File on the server with what ssl_certificate_pem takes", "ssl.certificate.pem"},
	{TXP_OPTION_MAPPING, "ssl_key_pem", TXP_TYPE_SECRET, NULL, 0, 0, NULL,
	 "Private key of that certificate, in PEM form"},
	{TXP_OPTION_MAPPING, "ssl_key_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with that private key", "ssl.key.pem"},
	{TXP_OPTION_MAPPING, "ssl_key_password", TXP_TYPE_SECRET, NULL, 0, 0, NULL,
	 "Password of that private key"},
	{TXP_OPTION_MAPPING, "ssl_key_password_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with the password of that private key", "ssl.key.password"},
	{TXP_OPTION_MAPPING, "pseudonym_key", TXP_TYPE_SECRET, NULL, 0, 0, NULL,
	 "Key of the conversion pseudonym, 32 random bytes in hexadecimal, say; who has it can tell "
	 "whose pseudonym is "
	 "whose",
	 "pseudonym.key"},
	{TXP_OPTION_MAPPING, "pseudonym_key_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with the key of the conversion pseudonym", "pseudonym.key"},
	{TXP_OPTION_MAPPING, "encryption_key", TXP_TYPE_SECRET, NULL, 0, 0, NULL,
	 "Key of encryption, 32 random bytes in hexadecimal, say; of several, one a line, the first "
	 "encrypts and each decrypts",
	 "encryption.key"},
	{TXP_OPTION_MAPPING, "encryption_key_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with the key of encryption, or several, one a line", "encryption.key"},

	{TXP_OPTION_STREAM, "batch_rows", TXP_TYPE_INTEGER, "10000", 1, 1000000, "rows",
	 "Most messages in one batch, which is one transaction"},
	{TXP_OPTION_STREAM, "batch_bytes", TXP_TYPE_INTEGER, "4194304", 1024, 67108864, "bytes",
	 "Most bytes of decoded rows in one batch"},
	{TXP_OPTION_STREAM, "linger_ms", TXP_TYPE_INTEGER, "1", 0, 60000, "ms",
	 "Least time from one batch to the next unless it is full; the first message after a rest does "
	 "not wait"},
	{TXP_OPTION_STREAM, "batch_timeout_ms", TXP_TYPE_INTEGER, "600000", 0, 86400000, "ms",
	 "Longest time a batch may take inside PostgreSQL before it is cancelled; 0: no limit"},
	{TXP_OPTION_STREAM, "workers", TXP_TYPE_INTEGER, "1", 1, 32, "workers",
	 "1: served by the pool; more: so many workers of its own, which share its partitions"},
	{TXP_OPTION_STREAM, "partitions", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Partitions to read besides those adopted, such as 0-3,7; index 1 of 3: those whose number "
	 "divided by 3 leaves 1, "
	 "later ones, too; none. Others are left alone, and keep the place they had. Empty: all"},
	{TXP_OPTION_STREAM, "mode", TXP_TYPE_CHOICE, "append", 0, 0, "append upsert upsert_delete",
	 "What a row does to one with the same key; upsert_delete also deletes by tombstones"},
	{TXP_OPTION_STREAM, "version_column", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Modes upsert and upsert_delete: column of the target that grows with each change of a row; "
	 "an event "
	 "with less than what is there, or was deleted, changes nothing. Empty: the last to arrive "
	 "counts"},
	{TXP_OPTION_STREAM, "deleted_key_days", TXP_TYPE_INTEGER, "7", 0, 36500, "days",
	 "With version_column: how long deletions are remembered; 0: for ever"},
	{TXP_OPTION_STREAM, "on_error", TXP_TYPE_CHOICE, "dead_letter", 0, 0, "dead_letter stop",
	 "What a message that cannot become a row does: is stored as a dead letter, or pauses the "
	 "stream right before it"},
	{TXP_OPTION_STREAM, "encrypt", TXP_TYPE_BOOLEAN, "false", 0, 0, NULL,
	 "Keep dead letters encrypted, with the encryption key of the owner's user mapping, and no "
	 "value in their messages; always so where a column is encrypted"},
	{TXP_OPTION_STREAM, "trusted_roles", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Roles, with commas between them, whose functions and triggers steps and rules may run as the "
	 "owner, beside his own and those of roles with his rights"},
	{TXP_OPTION_STREAM, "avro_schema", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Format avro: the schema, as JSON. With a registry what messages are read as, with its names, "
	 "aliases and defaults; without one what they were written with"},
	{TXP_OPTION_STREAM, "protobuf_schema", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Format protobuf: what messages are read by, instead of a registry's schemas: the text of a "
	 ".proto file, or of several what protoc --include_imports --descriptor_set_out writes, in "
	 "base64"},
	{TXP_OPTION_STREAM, "protobuf_message", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "With protobuf_schema: the full name of the message; not needed where its last file has one"},
	{TXP_OPTION_STREAM, "topic_formats", TXP_TYPE_OBJECT, NULL, 0, 0, NULL,
	 "Formats json, avro and protobuf: those of single topics, such as {\"payments\": \"avro\"}; "
	 "others have the stream's"},
	{TXP_OPTION_STREAM, "key_format", TXP_TYPE_CHOICE, "text", 0, 0, "text json avro protobuf",
	 "What message keys are, whatever their values are; of text, which may be any bytes, "
	 "$key.field "
	 "takes the fields of JSON"},
	{TXP_OPTION_STREAM, "key_avro_schema", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "key_format avro: as avro_schema, of keys"},
	{TXP_OPTION_STREAM, "key_protobuf_schema", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "key_format protobuf: as protobuf_schema, of keys"},
	{TXP_OPTION_STREAM, "key_protobuf_message", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "With key_protobuf_schema: as protobuf_message, of keys"},
	{TXP_OPTION_STREAM, "schema_timeout", TXP_TYPE_INTEGER, "300", 0, 31536000, "s",
	 "How long the stream waits for a schema that is not in the registry; then messages that need "
	 "it become dead letters"},
	{TXP_OPTION_STREAM, "envelope", TXP_TYPE_CHOICE, "none", 0, 0, "none debezium cloudevents",
	 "Formats json, avro and protobuf: what is around the fields of a row. debezium: a change "
	 "event, whose "
	 "fields are those of after, and which deletes in mode upsert_delete; cloudevents: the fields "
	 "are those of data, or of a value beside headers ce_…"},
	{TXP_OPTION_STREAM, "rows", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Formats json, avro and protobuf: where the rows of a message are: the path of an array of "
	 "objects, "
	 "such "
	 "as order.lines; $: the message is the array; $lines: each line is JSON. Empty: a message is "
	 "a "
	 "row"},
	{TXP_OPTION_STREAM, "on_lost_offset", TXP_TYPE_CHOICE, "stop", 0, 0, "stop earliest latest",
	 "Where a stream goes on whose place in the topic is lost, because messages expired or the "
	 "topic was created anew; stop pauses it"},
	{TXP_OPTION_STREAM, "on_new_field", TXP_TYPE_CHOICE, "rest", 0, 0, "rest column stop",
	 "A field no message had before: is left to $rest, gets a column, or pauses the stream"},
	{TXP_OPTION_STREAM, "archive", TXP_TYPE_BOOLEAN, "false", 0, 0, NULL,
	 "Whether rows are kept for the files of an archive, too, which export_archive() "
	 "writes hour by hour"},
	{TXP_OPTION_STREAM, "track_fields", TXP_TYPE_BOOLEAN, "true", 0, 0, NULL,
	 "Keep in stream_field which fields messages have"},
	{TXP_OPTION_STREAM, "rows_per_second", TXP_TYPE_INTEGER, "0", 0, 1000000000, "rows",
	 "Most messages a second; 0: no limit"},
	{TXP_OPTION_STREAM, "bytes_per_second", TXP_TYPE_INTEGER, "0", 0, INT64CONST(1000000000000),
	 "bytes", "Most bytes of messages a second; 0: no limit"},
	{TXP_OPTION_STREAM, "error_window", TXP_TYPE_INTEGER, "60", 1, 86400, "s",
	 "Time over which the budgets and ratios count"},
	{TXP_OPTION_STREAM, "error_budget", TXP_TYPE_INTEGER, "0", 0, 1000000000, "messages",
	 "Dead letters of any kind within error_window that pause the stream when exceeded; 0: none"},
	{TXP_OPTION_STREAM, "error_ratio", TXP_TYPE_INTEGER, "0", 0, 100, "per cent",
	 "Share of dead letters among the messages of error_window, at least 1000, that pauses the "
	 "stream when exceeded; 0: none"},
	{TXP_OPTION_STREAM, "refused_budget", TXP_TYPE_INTEGER, "10000", 0, 1000000000, "rows",
	 "Rows PostgreSQL refuses within error_window that pause the stream when exceeded; 0: none"},
	{TXP_OPTION_STREAM, "refused_ratio", TXP_TYPE_INTEGER, "90", 0, 100, "per cent",
	 "Share of refused rows among the messages of error_window, at least 1000, that pauses the "
	 "stream when exceeded; 0: none"},
	{TXP_OPTION_STREAM, "dead_letter_days", TXP_TYPE_INTEGER, "0", 0, 36500, "days",
	 "How long dead letters are kept, open ones too; 0: until they are deleted"},
	{TXP_OPTION_STREAM, "dead_letter_max_bytes", TXP_TYPE_INTEGER, "0", 0,
	 INT64CONST(1000000000000000), "bytes",
	 "Most bytes of dead letters; over it the stream is paused; 0: no limit"},
	{TXP_OPTION_STREAM, "history_days", TXP_TYPE_INTEGER, "7", 1, 36500, "days",
	 "How long batch_history and stream_event are kept; records of lost offsets stay"},

	{TXP_OPTION_FEED, "batch_rows", TXP_TYPE_INTEGER, "10000", 1, 100000, "rows",
	 "Most records in one batch, which the steps see at once"},
	{TXP_OPTION_FEED, "batch_bytes", TXP_TYPE_INTEGER, "4194304", 1024, 67108864, "bytes",
	 "Most bytes of decoded rows in one batch"},
	{TXP_OPTION_FEED, "encoding", TXP_TYPE_TEXT, "UTF8", 0, 0, NULL,
	 "Encoding of the files, as iconv names it"},
	{TXP_OPTION_FEED, "header", TXP_TYPE_BOOLEAN, "true", 0, 0, NULL,
	 "The first record of CSV names the fields; false: the option fields does"},
	{TXP_OPTION_FEED, "fields", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Names of the fields of CSV without header, in order, with commas between them"},
	{TXP_OPTION_FEED, "pseudonym_server", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Server whose user mapping for the feed's owner has the key of the conversion pseudonym"},
	{TXP_OPTION_FEED, "encryption_server", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Server whose user mapping for the feed's owner has the encryption key: with it copies in the "
	 "lake and rejected records are encrypted, and columns that say so"},
	{TXP_OPTION_FEED, "trusted_roles", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "Roles, with commas between them, whose functions and triggers steps and rules may run as the "
	 "owner, beside his own and those of roles with his rights"},
	{TXP_OPTION_FEED, "delimiter", TXP_TYPE_CHARACTER, ",", 0, 0, NULL,
	 "Between the fields of CSV"},
	{TXP_OPTION_FEED, "quote", TXP_TYPE_CHARACTER, "\"", 0, 0, NULL,
	 "Around fields of CSV, doubled inside them"},
	{TXP_OPTION_FEED, "null", TXP_TYPE_TEXT, "", 0, 0, NULL,
	 "An unquoted field equal to this is NULL"},
	{TXP_OPTION_FEED, "ragged", TXP_TYPE_BOOLEAN, "false", 0, 0, NULL,
	 "Records may have fewer fields than the header; the missing ones are NULL"},
	{TXP_OPTION_FEED, "reject_limit", TXP_TYPE_INTEGER, NULL, 0, INT64CONST(1000000000000), "rows",
	 "A file with more rejected records is not loaded at all; its state is rejected"},
	{TXP_OPTION_FEED, "reject_percent", TXP_TYPE_INTEGER, NULL, 0, 100, "per cent",
	 "The same for a larger share of a file's records"},
	{TXP_OPTION_FEED, "ordinal", TXP_TYPE_INTEGER, "100", 0, 1000000, NULL,
	 "Order in which the feeds of a group load"},
	{TXP_OPTION_FEED, "on_change", TXP_TYPE_CHOICE, "error", 0, 0, "error replace ignore",
	 "Other content under the name of a loaded file: is kept back until reload(), is loaded in its "
	 "place, or is left alone"},
	{TXP_OPTION_FEED, "duplicates", TXP_TYPE_CHOICE, "skip", 0, 0, "skip load",
	 "A file with the same content as another one of the feed: is not loaded, or is"},
	{TXP_OPTION_FEED, "max_attempts", TXP_TYPE_INTEGER, "10", 1, 1000000, NULL,
	 "Attempts to load a file; then it is poison, and waits for reload()"},
	{TXP_OPTION_FEED, "group_timeout", TXP_TYPE_INTERVAL, NULL, 1, INT64CONST(3155760000), NULL,
	 "An incomplete group loads so long after its first file, with what is there; the shortest of "
	 "its feeds counts. Without it a group waits until it is complete"},
	{TXP_OPTION_FEED, "every", TXP_TYPE_INTERVAL, NULL, 60, INT64CONST(3155760000), NULL,
	 "A group is expected so often, by the times of the group keys; those that did not come are in "
	 "missing_group"},
	{TXP_OPTION_MESSAGE, "avro_schema", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Format avro: the schema, as JSON. With a registry it has to be there under the subject, "
	 "unless "
	 "it is registered; without the option it is the subject's latest version"},
	{TXP_OPTION_MESSAGE, "subject", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Subject of the schema in the registry; otherwise the topic's name and -value. Format json: "
	 "the "
	 "value is sent behind the number of the subject's latest version, and not compared with it"},
	{TXP_OPTION_MESSAGE, "key_format", TXP_TYPE_CHOICE, "text", 0, 0, "text json avro",
	 "How the key is sent: as it is, or, given as JSON, as format says of values"},
	{TXP_OPTION_MESSAGE, "key_avro_schema", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "key_format avro: as avro_schema, of keys"},
	{TXP_OPTION_MESSAGE, "key_subject", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "key_format avro and json: as subject, of keys; otherwise the topic's name and -key"},
	{TXP_OPTION_MESSAGE, "register", TXP_TYPE_BOOLEAN, "false", 0, 0, NULL,
	 "Whether avro_schema and key_avro_schema are registered under their subjects where they are "
	 "not there"},

	/* --- object stores --- */
	{TXP_OPTION_STORE, "endpoint", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Address of the store: https://host or http://host:port; required"},
	{TXP_OPTION_STORE, "url", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Where in the store the files go: s3://bucket or s3://bucket/prefix; required"},
	{TXP_OPTION_STORE, "region", TXP_TYPE_TEXT, "us-east-1", 0, 0, NULL,
	 "The store's region, which signatures name"},
	{TXP_OPTION_STORE, "ssl_ca_pem", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Certificates of the authorities that are trusted, in PEM form; otherwise the system's"},
	{TXP_OPTION_STORE, "ssl_ca_file", TXP_TYPE_FILE, NULL, 0, 0, NULL,
	 "File on the server with what ssl_ca_pem takes", "ssl.ca.pem"},
	{TXP_OPTION_STORE_MAPPING, "access_key_id", TXP_TYPE_TEXT, NULL, 0, 0, NULL,
	 "Name of the key; it may read, write and delete objects in the bucket"},
	{TXP_OPTION_STORE_MAPPING, "secret_access_key", TXP_TYPE_SECRET, NULL, 0, 0, NULL,
	 "The key, which signs requests and is never sent"},
	{TXP_OPTION_STORE_MAPPING, "secret_access_key_file", TXP_TYPE_SECRET_FILE, NULL, 0, 0, NULL,
	 "File on the server with the key", "secret.access.key"},
};

const int txp_n_options = lengthof(txp_options);
