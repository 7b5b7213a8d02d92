
/*
 * Copyright (C) Sallyport authors
 *
 * A vocabulary at work, for tests and t/bench:
 *
 *     encode FILE o200k_base|cl100k_base            ids of each line of hex
 *     encode FILE o200k_base|cl100k_base TEXT ...   how fast each is counted,
 *                                                   and what an estimate says
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sp_bpe.h"
#include "sp_tokens.h"


#define MAX_LINE    (4 * 1024 * 1024)
#define ALL_SECONDS  0.5


static const sp_bpe_t *build(const char *file, sp_bpe_pattern_e pattern);
static void encode(const sp_bpe_t *bpe);
static size_t unhex(char *text);
static void measure(const sp_bpe_t *bpe, sp_bpe_pattern_e pattern,
    const char *file, double least);
static char *slurp(const char *file, size_t *len);
static double now(void);


static sp_bpe_work_t  work;
static void          *block;


int
main(int argc, char **argv)
{
    int                i;
    const sp_bpe_t    *bpe;
    sp_bpe_pattern_e   pattern;

    if (argc < 3) {
        fprintf(stderr, "usage: encode FILE PATTERN [TEXT ...]\n");
        return 2;
    }

    pattern = (strcmp(argv[2], "cl100k_base") == 0) ? SP_BPE_CL100K_BASE
                                                    : SP_BPE_O200K_BASE;
    bpe = build(argv[1], pattern);

    if (argc == 3) {
        encode(bpe);
    }

    for (i = 3; i < argc; i++) {
        measure(bpe, pattern, argv[i], ALL_SECONDS / (argc - 3));
    }

    free(block);

    return 0;
}


/* in "block" */

static const sp_bpe_t *
build(const char *file, sp_bpe_pattern_e pattern)
{
    char            *text;
    size_t           len, size;
    const sp_bpe_t  *bpe;
    sp_bpe_error_t   error;

    text = slurp(file, &len);
    bpe = NULL;

    if (sp_bpe_size(text, len, &size, &error) == 0) {
        block = calloc(1, size);

        if (block == NULL) {
            exit(1);
        }

        bpe = sp_bpe_build(text, len, pattern, block, &error);
    }

    if (bpe == NULL) {
        fprintf(stderr, "%s:%zu: %s\n", file, error.line, error.reason);
        exit(1);
    }

    free(text);

    return bpe;
}


/* ids, and behind a "|" what counting says */

static void
encode(const sp_bpe_t *bpe)
{
    size_t           counted, effort, i, len, n;
    static char      line[MAX_LINE];
    static uint32_t  ids[MAX_LINE / 2];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        len = unhex(line);
        n = sp_bpe_encode(bpe, &work, line, len, ids, MAX_LINE / 2);

        counted = 0;
        effort = SIZE_MAX;

        if (sp_bpe_count(bpe, &work, line, len, &counted, &effort) != len) {
            exit(1);
        }

        for (i = 0; i < n; i++) {
            printf("%s%u", i == 0 ? "" : ",", ids[i]);
        }

        printf("|%zu\n", counted);
    }
}


static size_t
unhex(char *text)
{
    size_t    len;
    unsigned  byte;

    for (len = 0; sscanf(text + 2 * len, "%2x", &byte) == 1; len++) {
        text[len] = (char) byte;
    }

    return len;
}


static void
measure(const sp_bpe_t *bpe, sp_bpe_pattern_e pattern, const char *file,
    double least)
{
    char    *text;
    size_t   effort, len, n, rounds;
    double   begin, seconds;

    text = slurp(file, &len);
    rounds = 0;
    begin = now();

    do {
        n = 0;
        effort = SIZE_MAX;
        (void) sp_bpe_count(bpe, &work, text, len, &n, &effort);

        rounds++;
        seconds = now() - begin;

    } while (seconds < least);

    printf("%s: %.1f MB/s, %zu tokens of %zu bytes, estimated %zu\n", file,
           (double) (len * rounds) / seconds / 1e6, n, len,
           sp_tokens_estimate(pattern, text, len));

    free(text);
}


static char *
slurp(const char *file, size_t *len)
{
    long   size;
    char  *text;
    FILE  *f;

    f = fopen(file, "rb");

    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        perror(file);
        exit(1);
    }

    size = ftell(f);
    rewind(f);
    text = malloc((size_t) size + 1);

    if (text == NULL || fread(text, 1, (size_t) size, f) != (size_t) size) {
        perror(file);
        exit(1);
    }

    fclose(f);
    *len = (size_t) size;

    return text;
}


/* CPU time: others may be at work on this machine */

static double
now(void)
{
    struct timespec  t;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);

    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}
