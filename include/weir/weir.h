// Everything a program needs to embed weir.
#pragma once

#include "weir/config.h"
#include "weir/decision.h"
#include "weir/outcome.h"
#include "weir/rate_limiter.h"
#include "weir/request.h"
#include "weir/result.h"
