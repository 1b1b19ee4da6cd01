// How one budget is divided among those that want parts of it. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir::rls {

// Max-min fair: the part of each, in the order of `demands`.
//  - The parts never add up to more than `budget`.
//  - Everybody counts as wanting at least a floor, so that who was idle can begin: a tenth of the budget shared by all,
//    and at least 1.
//  - While not all can have what they want, nobody gets more than that, and who gets less gets as much as anybody, to
//    within 1. What then is left, is shared equally.
//  - Whoever wants more never gets less for it.
//  - With less than one for each, those with the largest demands get one, and of equals the first.
std::vector<std::uint64_t> FairShares(std::uint64_t budget, std::span<const std::uint64_t> demands);

}  // namespace weir::rls
