// What `homeostat test` prints.
#pragma once

#include "engine/policy_test/coverage.hpp"
#include "engine/policy_test/run.hpp"

#include <boost/json.hpp>

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::cli {

struct SurvivingMutant {
    std::string file;
    Position at;
    std::string what;
};

struct MutationResult {
    std::size_t mutants = 0;
    std::size_t killed = 0;
    std::vector<SurvivingMutant> survivors;

    double percent() const;
};

struct TestedFile {
    policy_test::PolicyTest test;
    std::vector<policy_test::CaseResult> cases;
    std::optional<std::vector<policy_test::CoveragePoint>> coverage;
    std::optional<MutationResult> mutation;
};

struct TestCounts {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;
};
TestCounts count(const std::vector<TestedFile>& files);

// Escape sequences for colour, or nothing where the output is no terminal.
struct Colours {
    bool on = false;

    std::string red(const std::string& text) const { return paint("31", text); }
    std::string green(const std::string& text) const { return paint("32", text); }
    std::string dim(const std::string& text) const { return paint("2", text); }

  private:
    std::string paint(const char* code, const std::string& text) const {
        return on ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
    }
};

void print_case(const TestedFile& file, const policy_test::CaseResult& result, const Colours& colours,
                std::ostream& out);
void print_counts(const TestCounts& counts, const Colours& colours, std::ostream& out);

// What no test reached, by policy file.
void print_coverage(const std::vector<policy_test::CoveragePoint>& points, const Colours& colours,
                    std::ostream& out);
void print_mutation(const MutationResult& result, const Colours& colours, std::ostream& out);

boost::json::object to_json(const TestedFile& file);

} // namespace homeostat::cli
