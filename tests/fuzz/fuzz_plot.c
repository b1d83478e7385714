/* A ledger and peaks from anywhere, one a line: the picture is whole and printable. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/plot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t first = end ? (size_t)(end - data) : size;
    json_t *ledger = json_loadb((const char *)data, first, 0, NULL);
    json_t *peaks = end ? json_loadb((const char *)end + 1, size - first - 1, 0, NULL) : NULL;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    require(to != NULL);
    require(slr_plot_svg(to, ledger, peaks) == SLR_OK);
    require(fclose(to) == 0);
    require(n > 8 && strcmp(text + n - 7, "</svg>\n") == 0);
    for (size_t i = 0; i < n; i++) {
        require(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    }
    free(text);
    json_decref(peaks);
    json_decref(ledger);
    return 0;
}
