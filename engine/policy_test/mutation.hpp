// Mutation testing of policies: small changes of what a policy says, each of which a good test notices
// (DeMillo, Lipton and Sayward 1978). The changes are made to the parsed policy, so that each is one that an
// author could have written.
#pragma once

#include "engine/policy_test/run.hpp"

#include <functional>
#include <string>
#include <vector>

namespace homeostat::policy_test {

struct Mutant {
    std::string file;
    Position at;
    std::string what; // "symptom udp_flood, raise: > becomes >="
    std::size_t document = 0;
    std::function<void(PolicyDocument&)> change;
};

// In the order of files and places. A change that no test could notice is none: a shadowed default, a rate
// that becomes an increase over one second, a priority that nobody contests. The last `beside` policies are
// not changed.
std::vector<Mutant> mutants_of(const std::vector<PolicyDocument>& policies, std::size_t beside = 0);

enum class Fate {
    killed,   // a test failed
    survived, // all passed
    invalid,  // the policies no longer fit together: no mutant
};

// Runs the cases until one fails, `likely` first; tells in it which one that was.
Fate try_mutant(const PolicyTest& test, const Mutant& mutant, std::size_t& likely);

// An expression with one change.
struct ChangedExpr {
    promql::Span at;
    std::string what;
    promql::Expr expr;
};
std::vector<ChangedExpr> changes_of(const promql::Expr& expr);

} // namespace homeostat::policy_test
