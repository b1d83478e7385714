/* Ledgers from anywhere: whatever they hold, what is said of them is printable text. */
#include <stdint.h>
#include <stdlib.h>

#include "common/json.h"
#include "ctl/explain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *ledger = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    json_t *explained = slr_explain(ledger);
    require(explained != NULL);
    char *text = slr_explain_text(explained);
    require(text != NULL);
    for (const char *c = text; *c; c++) {
        require(*c == '\n' || (*c >= ' ' && *c <= '~'));
    }
    free(text);
    json_decref(explained);
    json_decref(ledger);
    return 0;
}
