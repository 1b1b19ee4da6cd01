// Everything a program needs to embed weir. Tests include weir/testing.h besides.
#pragma once

#include "weir/clock.h"
#include "weir/config.h"
#include "weir/decision.h"
#include "weir/domains.h"
#include "weir/headers.h"
#include "weir/management.h"
#include "weir/middleware.h"
#include "weir/outcome.h"
#include "weir/rate_limiter.h"
#include "weir/request.h"
#include "weir/result.h"
#include "weir/rule.h"
#include "weir/stats.h"
