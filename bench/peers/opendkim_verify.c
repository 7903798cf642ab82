/* Verifies one message many times with libopendkim, the key from memory; prints CPU microseconds per message.
 *
 *     cc -O2 opendkim_verify.c -o opendkim_verify -lopendkim
 *     opendkim_verify MESSAGE KEY-RECORD COUNT ROUNDS
 *
 * MESSAGE and KEY-RECORD are files. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <opendkim/dkim.h>

static char *record;

static char *
whole(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *data;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		exit(2);
	*size = (size_t)ftell(file);
	rewind(file);
	data = malloc(*size + 1);
	if (data == NULL || fread(data, 1, *size, file) != *size)
		exit(2);
	data[*size] = '\0';
	fclose(file);
	return data;
}

static DKIM_CBSTAT
key_from_memory(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t buflen)
{
	(void)dkim;
	(void)sig;
	strncpy((char *)buf, record, buflen);
	return DKIM_CBSTAT_CONTINUE;
}

static double
now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

int
main(int argc, char **argv)
{
	size_t size, unused;
	double best = 1e18;

	if (argc != 5)
		return 2;
	char *message = whole(argv[1], &size);
	record = whole(argv[2], &unused);
	int count = atoi(argv[3]), rounds = atoi(argv[4]);
	DKIM_LIB *lib = dkim_init(NULL, NULL);

	if (lib == NULL || dkim_set_key_lookup(lib, key_from_memory) != DKIM_STAT_OK)
		return 2;
	for (int round = 0; round < rounds; round++) {
		double start = now();

		for (int n = 0; n < count; n++) {
			DKIM_STAT status;
			_Bool testkey;
			DKIM *dkim = dkim_verify(lib, (const unsigned char *)"bench", NULL, &status);

			if (dkim == NULL || dkim_chunk(dkim, (u_char *)message, size) != DKIM_STAT_OK)
				return 3;
			if (dkim_chunk(dkim, NULL, 0) != DKIM_STAT_OK)
				return 3;
			if (dkim_eom(dkim, &testkey) != DKIM_STAT_OK)
				return 4;
			dkim_free(dkim);
		}
		double spent = (now() - start) / count;

		if (spent < best)
			best = spent;
	}
	printf("%.2f\n", best);
	dkim_close(lib);
	return 0;
}
