// What `homeostat test` prints.
#pragma once

#include "engine/policy_test/run.hpp"

#include <boost/json.hpp>

#include <iosfwd>
#include <string>
#include <vector>

namespace homeostat::cli {

struct TestedFile {
    policy_test::PolicyTest test;
    std::vector<policy_test::CaseResult> cases;
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

boost::json::object to_json(const TestedFile& file);

} // namespace homeostat::cli
