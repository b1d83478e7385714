/*
 * http_route: the table of routes and the OpenAPI document made from it.
 * Const data; any thread; allocates only for the document, at start.
 */
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"
#include "ctl/http_internal.h"

#ifndef SLR_VERSION_TEXT
#define SLR_VERSION_TEXT "0.1.0"
#endif

static const struct slr_http_route routes[] = {
#define ROUTE(op, method, path, flags, type, summary)                                              \
    {#op, #method, path, flags, type, summary, slr_http_do_##op},
#define PARAM(op, name, type, text)
#define ANSWER(op, status, text)
#include "ctl/routes.def"
#undef ROUTE
#undef PARAM
#undef ANSWER
};

static const struct route_param {
    const char *op, *name, *type, *text;
} params[] = {
#define ROUTE(op, method, path, flags, type, summary)
#define PARAM(op, name, type, text) {#op, name, type, text},
#define ANSWER(op, status, text)
#include "ctl/routes.def"
#undef ROUTE
#undef PARAM
#undef ANSWER
};

static const struct route_answer {
    const char *op, *status, *text;
} answers[] = {
#define ROUTE(op, method, path, flags, type, summary)
#define PARAM(op, name, type, text)
#define ANSWER(op, status, text) {#op, #status, text},
#include "ctl/routes.def"
#undef ROUTE
#undef PARAM
#undef ANSWER
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct slr_http_route *slr_http_routes(size_t *count)
{
    *count = COUNT(routes);
    return routes;
}

static bool good_id(struct slr_slice s)
{
    for (size_t i = 0; i < s.len_bytes; i++) {
        if (s.at[i] <= ' ' || s.at[i] >= 0x7f) {
            return false;
        }
    }
    return s.len_bytes > 0 && s.len_bytes < SLR_HTTP_ID_SIZE;
}

static bool match(const char *pattern, const char *path, char id[static SLR_HTTP_ID_SIZE])
{
    struct slr_slice want = slr_slice_str(pattern);
    struct slr_slice have = slr_slice_str(path);
    struct slr_slice part;
    struct slr_slice given;
    id[0] = '\0';
    while (slr_slice_take_token(&want, '/', &part)) {
        if (!slr_slice_take_token(&have, '/', &given)) {
            return false;
        }
        if (slr_slice_eq(part, "{id}")) {
            if (!good_id(given) || !slr_slice_to_str(given, id, SLR_HTTP_ID_SIZE)) {
                return false;
            }
        } else if (part.len_bytes != given.len_bytes ||
                   memcmp(part.at, given.at, part.len_bytes) != 0) {
            return false;
        }
    }
    size_t len = strlen(path);
    return have.len_bytes == 0 && len > 0 && path[len - 1] != '/';
}

const struct slr_http_route *slr_http_route_find(const char *method, const char *path,
                                                 char id[static SLR_HTTP_ID_SIZE], bool *path_known)
{
    const char *as = strcmp(method, "HEAD") == 0 ? "GET" : method;
    *path_known = false;
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (match(routes[i].path, path, id)) {
            *path_known = true;
            if (strcmp(routes[i].method, as) == 0) {
                return &routes[i];
            }
        }
    }
    return NULL;
}

static json_t *describe_params(const struct slr_http_route *route)
{
    json_t *list = json_array();
    if (strstr(route->path, "{id}") != NULL) {
        json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:{s:s}}", "name", "id", "in", "path",
                                              "required", 1, "schema", "type", "string"));
    }
    for (size_t i = 0; i < COUNT(params); i++) {
        const struct route_param *p = &params[i];
        if (strcmp(p->op, route->op) != 0) {
            continue;
        }
        bool time = strcmp(p->type, "date-time") == 0;
        json_t *schema = json_pack("{s:s}", "type", time ? "string" : p->type);
        if (time) {
            json_object_set_new(schema, "format", json_string(p->type));
        }
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "name", p->name, "in", "query",
                                              "description", p->text, "schema", schema));
    }
    return list;
}

static json_t *problem_answer(const char *text)
{
    return json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", text, "content",
                     "application/problem+json", "schema", "$ref", "#/components/schemas/problem");
}

static json_t *describe_answers(const struct slr_http_route *route)
{
    json_t *all = json_object();
    bool json = strcmp(route->type, "application/json") == 0;
    json_t *schema = json_pack("{s:s}", "type", json ? "object" : "string");
    json_object_set_new(all, "200",
                        json_pack("{s:s,s:{s:{s:o}}}", "description", "OK", "content", route->type,
                                  "schema", schema));
    for (size_t i = 0; i < COUNT(answers); i++) {
        if (strcmp(answers[i].op, route->op) != 0) {
            continue;
        }
        bool error = answers[i].status[0] >= '4';
        json_object_set_new(all, answers[i].status,
                            error ? problem_answer(answers[i].text)
                                  : json_pack("{s:s}", "description", answers[i].text));
    }
    json_object_set_new(all, "default", problem_answer("Any other error"));
    return all;
}

static json_t *describe(const struct slr_http_route *route)
{
    json_t *o =
        json_pack("{s:s,s:s,s:o,s:o}", "operationId", route->op, "summary", route->summary,
                  "parameters", describe_params(route), "responses", describe_answers(route));
    if ((route->flags & ROUTE_BODY) != 0) {
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b,s:{s:{s:{s:s}}}}", "required", 0, "content",
                                      "application/json", "schema", "type", "object"));
    }
    if ((route->flags & ROUTE_OPEN) == 0) {
        json_object_set_new(o, "security", json_pack("[{s:[]},{}]", "bearer"));
    }
    return o;
}

static void put_method(json_t *paths, const struct slr_http_route *route)
{
    char name[8];
    size_t i = 0;
    for (; route->method[i] != '\0' && i < sizeof(name) - 1; i++) {
        name[i] = (char)(route->method[i] | 0x20);
    }
    name[i] = '\0';
    if (json_object_get(paths, route->path) == NULL) {
        json_object_set_new(paths, route->path, json_object());
    }
    json_object_set_new(json_object_get(paths, route->path), name, describe(route));
}

char *slr_http_openapi_render(void)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < COUNT(routes); i++) {
        put_method(paths, &routes[i]);
    }
    json_t *problem =
        json_pack("{s:s,s:{s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s}}}", "type", "object",
                  "properties", "type", "type", "string", "title", "type", "string", "status",
                  "type", "integer", "detail", "type", "string", "code", "type", "string");
    json_t *document = json_pack(
        "{s:s,s:{s:s,s:s,s:s},s:o,s:{s:{s:o},s:{s:{s:s,s:s}}}}", "openapi", "3.0.3", "info",
        "title", "Spanless call recorder", "version", SLR_VERSION_TEXT, "description",
        "Errors are RFC 9457 problem documents. A bearer token is needed where one is configured.",
        "paths", paths, "components", "schemas", "problem", problem, "securitySchemes", "bearer",
        "type", "http", "scheme", "bearer");
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    json_decref(document);
    return text;
}

enum MHD_Result slr_http_do_openapi(struct slr_http_request *r)
{
    return slr_http_reply_text(r, MHD_HTTP_OK, r->route->type, r->h->openapi);
}
