// Browsers let any page that their user visits send requests to where that user can reach, this port among them. Such a
// request says where it comes from; no other client sends these fields.
#pragma once

#include <string_view>

#include "http/request_parser.h"

namespace weir::http {

// Why a request for the API is not to be answered, because a page of another site made a browser send it; empty: it may
// be. Refused: `Sec-Fetch-Site` that is not `same-origin` or `none` (the user typed it); an `Origin` whose authority is
// not the request's Host; and, of requests with either field, a content type that a page may send without asking first
// (`text/plain`, `multipart/form-data`, `application/x-www-form-urlencoded`, which curl -d sends too, but without
// these fields). Not for /v1/auth: there a proxy passes on the fields of its visitors.
std::string_view WhyForeign(const RequestHead& head);

}  // namespace weir::http
