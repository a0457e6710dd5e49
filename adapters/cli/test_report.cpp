#include "adapters/cli/test_report.hpp"

#include <algorithm>
#include <map>
#include <ostream>

namespace homeostat::cli {

using policy_test::CaseResult;
using policy_test::Finding;

namespace {

std::string place_text(const std::string& file, Position at) {
    return file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

void print_finding(const std::string& file, const CaseResult& result, const Finding& finding,
                   const Colours& colours, std::ostream& out) {
    out << "  " << place_text(file, finding.at) << ": at " << to_text(finding.time) << ": " << finding.what
        << "\n"
        << colours.green("    expected  " + finding.expected) << "\n"
        << colours.red("    actual    " + finding.actual) << "\n";
    for (const std::string& line : finding.evidence) out << "    | " << line << "\n";
    const auto entries = around(result.timeline, finding.time);
    if (entries.empty()) return;
    out << colours.dim("    around it:") << "\n";
    for (const policy_test::TimelineEntry& entry : entries) {
        std::string time = to_text(entry.time);
        time.insert(0, time.size() < 8 ? 8 - time.size() : 0, ' ');
        const char* mark = entry.time == finding.time ? " > " : "   ";
        out << colours.dim("    " + std::string(mark) + time + "  " + entry.text) << "\n";
    }
}

std::string_view word_of(CaseResult::Verdict verdict) {
    switch (verdict) {
    case CaseResult::Verdict::passed:
        return "passed";
    case CaseResult::Verdict::failed:
        return "failed";
    case CaseResult::Verdict::skipped:
        return "skipped";
    }
    return "";
}

} // namespace

TestCounts count(const std::vector<TestedFile>& files) {
    TestCounts counts;
    for (const TestedFile& file : files)
        for (const CaseResult& result : file.cases)
            ++(result.verdict == CaseResult::Verdict::passed   ? counts.passed
               : result.verdict == CaseResult::Verdict::failed ? counts.failed
                                                               : counts.skipped);
    return counts;
}

void print_case(const TestedFile& file, const CaseResult& result, const Colours& colours, std::ostream& out) {
    switch (result.verdict) {
    case CaseResult::Verdict::passed:
        out << colours.green("passed") << "  " << result.name << "\n";
        return;
    case CaseResult::Verdict::skipped:
        out << "skipped " << result.name << colours.dim(" (" + result.skipped_because + ")") << "\n";
        return;
    case CaseResult::Verdict::failed:
        out << colours.red("FAILED") << "  " << result.name << "\n";
        for (const Finding& finding : result.findings)
            print_finding(file.test.file, result, finding, colours, out);
    }
}

void print_counts(const TestCounts& counts, const Colours& colours, std::ostream& out) {
    const std::string failed = std::to_string(counts.failed) + " failed";
    out << counts.passed << " passed, " << (counts.failed > 0 ? colours.red(failed) : failed) << ", "
        << counts.skipped << " skipped\n";
}

double MutationResult::percent() const {
    return mutants == 0 ? 100 : 100.0 * static_cast<double>(killed) / static_cast<double>(mutants);
}

namespace {

// Rounded down, so that 100 means all.
std::string percent_text(std::size_t part, std::size_t whole) {
    return std::to_string(whole == 0 ? 100 : part * 100 / whole) + " %";
}

using Points = std::vector<policy_test::CoveragePoint>;

std::map<std::string, Points> by_file(const Points& points) {
    std::map<std::string, Points> files;
    for (const policy_test::CoveragePoint& point : points) files[point.file].push_back(point);
    return files;
}

std::size_t reached(const Points& points) {
    return static_cast<std::size_t>(std::ranges::count_if(points, &policy_test::CoveragePoint::reached));
}

boost::json::array coverage_json(const Points& all) {
    boost::json::array files;
    for (const auto& [file, points] : by_file(all)) {
        boost::json::array array;
        for (const policy_test::CoveragePoint& point : points)
            array.push_back({{"line", point.at.line},
                             {"column", point.at.column},
                             {"what", point.what},
                             {"wanted", point.wanted},
                             {"reached", point.reached}});
        files.push_back({{"file", file},
                         {"points", points.size()},
                         {"reached", reached(points)},
                         {"list", std::move(array)}});
    }
    return files;
}

boost::json::object mutation_json(const MutationResult& result) {
    boost::json::array survivors;
    for (const SurvivingMutant& mutant : result.survivors)
        survivors.push_back({{"file", mutant.file},
                             {"line", mutant.at.line},
                             {"column", mutant.at.column},
                             {"what", mutant.what}});
    return {{"mutants", result.mutants},
            {"killed", result.killed},
            {"percent", result.percent()},
            {"survivors", std::move(survivors)}};
}

} // namespace

void print_coverage(const Points& all, const Colours& colours, std::ostream& out) {
    for (const auto& [file, points] : by_file(all)) {
        out << file << ": " << reached(points) << " of " << points.size() << " reached ("
            << percent_text(reached(points), points.size()) << ")\n";
        for (const policy_test::CoveragePoint& point : points)
            if (!point.reached)
                out << "  " << place_text(file, point.at) << ": " << point.what << ": "
                    << colours.red("never " + point.wanted) << "\n";
    }
}

void print_mutation(const MutationResult& result, const Colours& colours, std::ostream& out) {
    for (const SurvivingMutant& mutant : result.survivors)
        out << place_text(mutant.file, mutant.at) << ": " << colours.red("no test notices that") << " "
            << mutant.what << "\n";
    out << result.mutants << " mutants, " << result.killed << " killed ("
        << percent_text(result.killed, result.mutants) << ")\n";
}

boost::json::object to_json(const TestedFile& file) {
    boost::json::array cases;
    for (const CaseResult& result : file.cases) {
        boost::json::array findings;
        for (const Finding& finding : result.findings) {
            boost::json::array evidence(finding.evidence.begin(), finding.evidence.end());
            boost::json::array timeline;
            for (const policy_test::TimelineEntry& entry : around(result.timeline, finding.time))
                timeline.push_back({{"time_ms", entry.time.count()}, {"text", entry.text}});
            findings.push_back({{"line", finding.at.line},
                                {"column", finding.at.column},
                                {"time_ms", finding.time.count()},
                                {"what", finding.what},
                                {"expected", finding.expected},
                                {"actual", finding.actual},
                                {"evidence", std::move(evidence)},
                                {"timeline", std::move(timeline)}});
        }
        cases.push_back({{"name", result.name},
                         {"line", result.at.line},
                         {"result", word_of(result.verdict)},
                         {"skipped_because", result.skipped_because},
                         {"ticks", result.ticks},
                         {"findings", std::move(findings)}});
    }
    boost::json::object object{{"file", file.test.file}, {"tests", std::move(cases)}};
    if (file.coverage) object["coverage"] = coverage_json(*file.coverage);
    if (file.mutation) object["mutation"] = mutation_json(*file.mutation);
    return object;
}

} // namespace homeostat::cli
