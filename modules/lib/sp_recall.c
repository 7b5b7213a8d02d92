
/*
 * Copyright (C) Sallyport authors
 */

#include <stdlib.h>
#include <string.h>

#include "sp_recall.h"
#include "sp_tokens.h"
#include "sp_word.h"


/* tokens of "- [2026-05-14] " and of "user said: " */
#define SP_RECALL_LINE  9
#define SP_RECALL_ROLE  3


typedef struct {
    char        *dst;
    size_t       size;
    size_t       len;        /* needed, also beyond size */
} sp_recall_out_t;


static size_t sp_recall_cost(const sp_recall_item_t *item);
static size_t sp_recall_fill(sp_recall_item_t *items, size_t n, int facts,
    size_t *left);
static size_t sp_recall_cut(const char *text, size_t len);
static int sp_recall_compare(const void *one, const void *two);
static void sp_recall_put(sp_recall_out_t *out, const char *text,
    size_t len);
static void sp_recall_put_text(sp_recall_out_t *out, const char *text,
    size_t len);
static size_t sp_recall_plain(const char *text, size_t len);


size_t
sp_recall_choose(sp_recall_item_t *items, size_t n, size_t budget)
{
    size_t  chosen, half, i, left;

    for (i = 0; i < n; i++) {
        items[i].chosen = 0;
    }

    half = budget / 2;
    left = budget - half;

    chosen = sp_recall_fill(items, n, 1, &half);

    left += half;

    chosen += sp_recall_fill(items, n, 0, &left);
    chosen += sp_recall_fill(items, n, 1, &left);

    return chosen;
}


static size_t
sp_recall_fill(sp_recall_item_t *items, size_t n, int facts, size_t *left)
{
    size_t  chosen, cost, i;

    chosen = 0;

    for (i = 0; i < n; i++) {

        if (items[i].chosen || (items[i].role == NULL) != facts) {
            continue;
        }

        cost = sp_recall_cost(&items[i]);

        if (cost <= *left) {
            *left -= cost;
            items[i].chosen = 1;
            chosen++;
        }
    }

    return chosen;
}


static size_t
sp_recall_cost(const sp_recall_item_t *item)
{
    size_t  cost;

    cost = SP_RECALL_LINE
           + sp_tokens_estimate(SP_BPE_O200K_BASE, item->text,
                                sp_recall_cut(item->text, item->len));

    if (item->role != NULL) {
        cost += SP_RECALL_ROLE;
    }

    return cost;
}


/* never inside of a character */

static size_t
sp_recall_cut(const char *text, size_t len)
{
    if (len <= SP_RECALL_TEXT) {
        return len;
    }

    len = SP_RECALL_TEXT;

    while (len > 0 && ((unsigned char) text[len] & 0xc0) == 0x80) {
        len--;
    }

    return len;
}


size_t
sp_recall_block(sp_recall_item_t *items, size_t n, char *dst, size_t size)
{
    size_t           cut, i;
    sp_recall_out_t  out;

    out.dst = dst;
    out.size = size;
    out.len = 0;

    if (n > 1) {
        qsort(items, n, sizeof(sp_recall_item_t), sp_recall_compare);
    }

    for (i = 0; i < n; i++) {

        if (!items[i].chosen) {
            continue;
        }

        if (out.len > 0) {
            sp_recall_put(&out, "\n", 1);
        }

        sp_recall_put(&out, "- [", 3);
        sp_recall_put_text(&out, items[i].day, 10);
        sp_recall_put(&out, "] ", 2);

        if (items[i].role != NULL) {
            sp_recall_put(&out, items[i].role, strlen(items[i].role));
            sp_recall_put(&out, " said: ", 7);
        }

        cut = sp_recall_cut(items[i].text, items[i].len);
        sp_recall_put_text(&out, items[i].text, cut);

        if (cut < items[i].len) {
            sp_recall_put(&out, "...", 3);
        }
    }

    return out.len;
}


static int
sp_recall_compare(const void *one, const void *two)
{
    int                      rc;
    size_t                   len;
    const sp_recall_item_t  *a, *b;

    a = one;
    b = two;

    rc = memcmp(a->day, b->day, 10);
    if (rc != 0) {
        return rc;
    }

    len = (a->len < b->len) ? a->len : b->len;

    rc = (len == 0) ? 0 : memcmp(a->text, b->text, len);
    if (rc != 0) {
        return rc;
    }

    return (a->len > b->len) - (a->len < b->len);
}


static void
sp_recall_put(sp_recall_out_t *out, const char *text, size_t len)
{
    if (out->len + len <= out->size) {
        memcpy(out->dst + out->len, text, len);
    }

    out->len += len;
}


static void
sp_recall_put_text(sp_recall_out_t *out, const char *text, size_t len)
{
    size_t  i, plain;

    for (i = 0; i < len; i++) {

        plain = sp_recall_plain(text + i, len - i);

        sp_recall_put(out, text + i, plain);
        i += plain;

        if (i == len) {
            break;
        }

        switch (text[i]) {

        case '<':
            sp_recall_put(out, "\\u003c", 6);
            break;

        case '>':
            sp_recall_put(out, "\\u003e", 6);
            break;

        default:
            sp_recall_put(out, " ", 1);
        }
    }
}


/* how many bytes go as they are */

static size_t
sp_recall_plain(const char *text, size_t len)
{
    size_t    i;
    uint64_t  word;

    for (i = 0; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, text + i, sizeof(word));

        if (sp_word_below(word, 0x20) | sp_word_has(word, 0x7f)
            | sp_word_has(word, '<') | sp_word_has(word, '>'))
        {
            break;
        }
    }

    while (i < len && (unsigned char) text[i] >= 0x20 && text[i] != 0x7f
           && text[i] != '<' && text[i] != '>')
    {
        i++;
    }

    return i;
}
