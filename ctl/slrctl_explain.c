/*
 * slrctl_explain: `slrctl explain ID|LEDGER`: the ledger of a recording in words. One thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "ctl/explain.h"
#include "ctl/slrctl.h"

#define PATH_SIZE 512

enum slrctl_exit slrctl_ledger(struct slrctl *c, const char *what, json_t **ledger)
{
    char path[PATH_SIZE];
    json_t *record = NULL;
    *ledger = NULL;
    if (access(what, R_OK) == 0) {
        *ledger = json_load_file(what, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(*ledger)) {
            slrctl_say("%s is no ledger", what);
            json_decref(*ledger);
            *ledger = NULL;
            return SLRCTL_FAILED;
        }
        return SLRCTL_OK;
    }
    char *id = slrctl_escape(what);
    int n = id ? snprintf(path, sizeof(path), "/v1/recordings/%s", id) : -1;
    free(id);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        slrctl_say("no file and no recording: %s", what);
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = slrctl_ask(c, "GET", path, NULL, &record);
    if (code != SLRCTL_OK) {
        return code;
    }
    *ledger = json_incref(json_object_get(record, "ledger"));
    json_t *alarms = json_object_get(record, "alarms");
    if (json_is_object(*ledger) && alarms) {
        json_object_set(*ledger, "alarms", alarms); /* for slr_explain */
    }
    const char *state = slr_json_str(record, "state");
    if (!json_is_object(*ledger)) {
        slrctl_say("recording %s has no ledger yet: it is %s", what, state ? state : "open");
        json_decref(*ledger);
        *ledger = NULL;
        code = SLRCTL_STATE;
    }
    json_decref(record);
    return code;
}

enum slrctl_exit slrctl_explain(struct slrctl *c)
{
    json_t *ledger = NULL;
    if (c->arg_count != 1) {
        slrctl_say("which recording? its id, or the path of its ledger");
        return SLRCTL_USAGE;
    }
    enum slrctl_exit code = slrctl_ledger(c, c->arg[0], &ledger);
    if (code != SLRCTL_OK) {
        return code;
    }
    json_t *explained = slr_explain(ledger);
    char *text = explained ? slr_explain_text(explained) : NULL;
    if (!explained || !text) {
        slrctl_say("out of memory");
        code = SLRCTL_FAILED;
    } else if (c->json) {
        slrctl_print_json(explained);
    } else {
        fputs(text, stdout);
    }
    free(text);
    json_decref(explained);
    json_decref(ledger);
    return code;
}
