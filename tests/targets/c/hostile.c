/* Strings that would do harm if they reached a terminal, a log or a parser as they are.
 *
 * They are in variables, in a thread's name and in an argument array. */
#include "protocol.h"
#include "traced.h"

#include <stdint.h>
#include <sys/prctl.h>

#define TEXTS 12

static const char *const texts[TEXTS] = {
    /* CSI: clears the screen, sets colours. */
    "\x1b[2J\x1b[31mred",
    /* OSC: sets the title, writes the clipboard. */
    "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07",
    /* OSC 8: a link. */
    "\x1b]8;;http://example.com/\x1b\\link\x1b]8;;\x1b\\",
    /* DCS and APC. */
    "\x1bPq\x1b\\\x1b_x\x1b\\",
    /* C1 as UTF-8: CSI, OSC, NEL. */
    "\xc2\x9b" "2J\xc2\x9d" "0;x\xc2\x9c\xc2\x85",
    /* C1 as single bytes: not UTF-8. */
    "\x9b" "2J\x9d" "0;x\x9c",
    /* Bidirectional overrides and isolates. */
    "user\xe2\x80\xae" "nimda\xe2\x80\xac \xe2\x81\xa6x\xe2\x81\xa9\xd8\x9c",
    /* Carriage return, backspace, delete: overwrite what was shown. */
    "harmless\rrm -rf\b\b\x7f",
    /* New line and tab: a forged second line. */
    "value\n  admin = true\tx",
    /* Invalid UTF-8: a cut sequence, an overlong one, a surrogate, a byte that is never valid. */
    "\xe2\x82 \xc0\xaf \xed\xa0\x80 \xff",
    /* Zero width, line separators, byte order mark. */
    "a\xe2\x80\x8b" "b\xe2\x80\xa8" "c\xe2\x80\xa9" "d\xef\xbb\xbf",
    /* Quotes, backslashes, markup. */
    "\"quoted\" 'single' \\n </script><b>& {\"a\":1} ${x} `id`",
};

struct hostile {
    char inline_text[24];
    const char *text;
    unsigned char bytes[8];
    char one;
};

static unsigned long count;

TRACED
void hostile(const struct hostile *hostile, const char *text, int number)
{
    KEEP(hostile);
    KEEP(text);
    KEEP(number);
    count++;
}

static unsigned long work(void)
{
    for (int i = 0; i < TEXTS; i++) {
        struct hostile value = { .text = texts[i], .one = 0x1b };

        /* NUL inside: what follows it is not part of the string. */
        memcpy(value.inline_text, "in\0side\x1b[0m", 12);
        memcpy(value.bytes, "\x00\x1b\x9b\xff\r\n\t\x7f", 8);
        hostile(&value, texts[i], i);
    }
    return count;
}

int main(void)
{
    /* 15 bytes: ESC, OSC, BEL, CR, a C1 byte, a bidirectional override. */
    prctl(PR_SET_NAME, "\x1b]0;x\x07\r\n\x9b\xe2\x80\xae" "c");
    serve(work);
    return 0;
}
