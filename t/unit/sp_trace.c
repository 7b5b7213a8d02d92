
/*
 * Copyright (C) Sallyport authors
 *
 * W3C Trace Context: the examples of the recommendation, and what it forbids.
 */

#include "sp_trace.h"

#include "tap.h"


#define ID    "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"


/* flags < 0: invalid */

static const struct {
    const char  *text;
    int          flags;
} parents[] = {
    { "00-" ID "-" SPAN "-01", 1 },
    { "00-" ID "-" SPAN "-00", 0 },
    { "00-" ID "-" SPAN "-ff", 255 },
    { "00-" ID "-" SPAN "-09", 9 },
    { "00-12345678901234567890123456789012-1234567890123456-01", 1 },

    /* versions */
    { "ff-" ID "-" SPAN "-01", -1 },
    { "cc-" ID "-" SPAN "-01", 1 },
    { "cc-" ID "-" SPAN "-01-what-the-future-will-be-like", 1 },
    { "cc-" ID "-" SPAN "-01-", 1 },
    { "cc-" ID "-" SPAN "-01.what-the-future-will-not-be-like", -1 },
    { "00-" ID "-" SPAN "-01-what-the-future-will-be-like", -1 },
    { "00-" ID "-" SPAN "-01-", -1 },
    { "00-" ID "-" SPAN "-01.", -1 },
    { "CC-" ID "-" SPAN "-01", -1 },
    { ".0-" ID "-" SPAN "-01", -1 },
    { "0.-" ID "-" SPAN "-01", -1 },
    { "0-" ID "-" SPAN "-01", -1 },
    { "000-" ID "-" SPAN "-01", -1 },

    /* ids of zeros */
    { "00-00000000000000000000000000000000-" SPAN "-01", -1 },
    { "00-" ID "-0000000000000000-01", -1 },
    { "00-00000000000000000000000000000001-0000000000000001-01", 1 },

    /* case, characters, lengths */
    { "00-0AF7651916cd43dd8448eb211c80319c-" SPAN "-01", -1 },
    { "00-" ID "-B7ad6b7169203331-01", -1 },
    { "00-" ID "-" SPAN "-0A", -1 },
    { "00-.af7651916cd43dd8448eb211c80319c-" SPAN "-01", -1 },
    { "00-" ID "-.7ad6b7169203331-01", -1 },
    { "00-" ID "-" SPAN "-.0", -1 },
    { "00-" ID "-" SPAN "-0", -1 },
    { "00-" ID "-" SPAN "-001", -1 },
    { "00-" ID "-" SPAN "-0g", -1 },
    { "00-" ID "1-" SPAN "-01", -1 },
    { "00-0af7651916cd43dd8448eb211c80319-" SPAN "-01", -1 },
    { "00-" ID "-b7ad6b716920333-01", -1 },
    { "00-" ID "-" SPAN "1-01", -1 },
    { "00_" ID "-" SPAN "-01", -1 },
    { "00-" ID "_" SPAN "-01", -1 },
    { "00-" ID "-" SPAN "_01", -1 },
    { " 00-" ID "-" SPAN "-01", -1 },
    { "00-" ID "-" SPAN "-01 ", -1 },
    { "00-" ID "-" SPAN, -1 },
    { "", -1 },
};


#define W8    "wwwwwwww"
#define W64   W8 W8 W8 W8 W8 W8 W8 W8
#define W240  W64 W64 W64 W8 W8 W8 W8 W8 W8
#define W256  W64 W64 W64 W64

/* n < 0: malformed */

static const struct {
    const char  *text;
    int          n;
} states[] = {
    { "foo=1", 1 },
    { "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", 2 },
    { "rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE", 2 },
    { "foo=1 \t , \t bar=2, \t baz=3", 3 },
    { "foo=1,", 1 },
    { ",foo=1,,bar=2", 2 },
    { "", 0 },
    { " ", 0 },
    { "fw529a3039@dt=FfhBaN", 1 },
    { "9fw@dt=1", 1 },
    { "a-*/_0=1", 1 },
    { "foo= a b", 1 },
    { "foo=1:2;3", 1 },
    { W256 "=1", 1 },
    { W240 "t@" W8 "vvvvvv=1", 1 },
    { "foo=" W256, 1 },

    { "foo", -1 },
    { "foo=", -1 },
    { "=1", -1 },
    { "foo =1", -1 },
    { "FOO=1", -1 },
    { "foo.bar=1", -1 },
    { "9foo=1", -1 },
    { "_foo=1", -1 },
    { "foo@=1", -1 },
    { "@foo=1", -1 },
    { "foo@@bar=1", -1 },
    { "foo@bar@baz=1", -1 },
    { "foo@9bar=1", -1 },
    { "foo=1=2", -1 },
    { "foo=bar=baz", -1 },
    { "foo=\x01", -1 },
    { "foo=\xc3\xa9", -1 },
    { "foo=1,bar", -1 },
    { W256 "w=1", -1 },
    { W240 "tt@v=1", -1 },
    { "t@" W8 "vvvvvvv=1", -1 },
    { "foo=" W256 "w", -1 },
};


int
main(void)
{
    int         rc;
    char        text[SP_TRACE_PARENT], members[33 * 4];
    size_t      i, n;
    sp_trace_t  trace;

    for (i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {

        rc = sp_trace_parse(&trace, parents[i].text, strlen(parents[i].text));

        TAP_OK(rc == (parents[i].flags < 0 ? SP_ERROR : SP_OK),
               "\"%s\" is %s", parents[i].text,
               parents[i].flags < 0 ? "refused" : "read");

        if (rc == SP_OK) {
            TAP_OK((int) trace.flags == parents[i].flags, "flags");
            TAP_IS_MEM(trace.id, SP_TRACE_ID, parents[i].text + 3,
                       SP_TRACE_ID, "trace");
            TAP_IS_MEM(trace.span, SP_TRACE_SPAN, parents[i].text + 36,
                       SP_TRACE_SPAN, "span");
        }
    }

    (void) sp_trace_parse(&trace, "cc-" ID "-" SPAN "-ff-more", 60);
    sp_trace_write(text, &trace);
    TAP_IS_MEM(text, sizeof(text), "00-" ID "-" SPAN "-01",
               SP_TRACE_PARENT, "written as version 00, sampled");

    trace.flags = 0xfe;
    sp_trace_write(text, &trace);
    TAP_IS_MEM(text, sizeof(text), "00-" ID "-" SPAN "-00",
               SP_TRACE_PARENT, "other flags do not go on");

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        n = 0;
        rc = sp_trace_state(states[i].text, strlen(states[i].text), &n);

        TAP_OK(states[i].n < 0 ? rc == SP_ERROR
                               : rc == SP_OK && n == (size_t) states[i].n,
               "\"%.40s\" is %s", states[i].text,
               states[i].n < 0 ? "refused" : "read");
    }

    for (i = 0; i < 33; i++) {
        memcpy(members + 4 * i, "a=1,", 4);
    }

    n = 0;
    TAP_OK(sp_trace_state(members, 32 * 4, &n) == SP_OK && n == 32,
           "32 members");

    n = 0;
    TAP_OK(sp_trace_state(members, 33 * 4, &n) == SP_ERROR, "not 33");

    n = 31;
    TAP_OK(sp_trace_state("a=1", 3, &n) == SP_OK
           && sp_trace_state("a=1", 3, &n) == SP_ERROR,
           "over all of the lines");

    return tap_done();
}
