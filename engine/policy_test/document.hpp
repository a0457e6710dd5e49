// A test document: cases that play series, events and outcomes to policies, and say what is expected of them.
// Values only, as their author wrote them. All times count from the beginning of a case.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/receipt.hpp"
#include "knowledge/time.hpp"
#include "policies/document.hpp"
#include "policies/policy_set.hpp"
#include "policies/promql/series_notation.hpp"
#include "policies/source_text.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat::policy_test {

inline constexpr std::string_view default_sensor = "series";

// From `from` on, a value every `every`; none is read where there is none.
struct PlayedSeries {
    SourceText source;
    Labels labels; // with the metric name
    promql::SeriesValues values;
    Duration from{0};
    Duration every{0};
    std::string sensor{default_sensor};
    bool urgent = false; // each value starts a tick
};

// A value that an urgent event brings: it starts a tick at once.
struct UrgentSample {
    SourceText source;
    Labels labels;
    double value = 0;
    std::string sensor{default_sensor};
};
struct LinkChange {
    std::string interface;
    bool present = true;
    bool up = true;
};
// Readings of the sensor fail from here on until `until`.
struct SensorFailure {
    std::string sensor;
    std::string error;
    Duration until{};
};
// Somebody else attaches a program, or detaches what is there.
struct Drift {
    std::string interface;
    std::optional<std::string> program;
};

struct Event {
    Position at;
    Duration time{};
    std::variant<UrgentSample, LinkChange, SensorFailure, Drift> what;
};

// How transactions end. The first rule that fits one counts; one that none fits succeeds.
struct OutcomeRule {
    std::string interface; // "": any
    Position interface_at;
    std::optional<std::size_t> nth;  // of the transactions of its interface, from 1; none: all
    Duration from{0};                // by the time of its plan
    std::optional<Duration> until;   // before this
    std::string fails;               // why; "": it does not
    std::optional<Duration> latency; // none: the outcome comes with the next tick
    std::vector<XdpMode> modes;      // that the interface takes; empty: all
};

// An instance of a symptom or an adaptation: by its name alone any, by some labels those that have them.
struct InstancePattern {
    SourceText source;
    std::string name;
    Labels labels;

    bool matches(std::string_view a_name, const Labels& key) const;
};

struct ExpectedState {
    InstancePattern instance;
    SymptomState state{};
};
struct ExpectedInterface {
    Position at;
    std::string interface;
    std::optional<std::string> program;      // "none": nothing attached
    std::map<TcDirection, std::string> tc{}; // as `program`
    std::vector<XdpMode> ladder; // the mode that it is in; of a desired one, its ladder; empty: any
    std::optional<Duration> gap_max;
    std::map<std::string, std::map<std::string, MapValue>> maps; // of each that is named, all entries
};
// The samples of an expression, all of them.
struct ExpectedSamples {
    Condition expr;
    std::vector<std::pair<Labels, double>> samples;
};
// A decision: "apply guard{iface=\"eth0\"}", with a time before it where that matters.
struct ExpectedDecision {
    SourceText source;
    std::optional<Duration> at;
    Receipt::Action action{};
    InstancePattern instance;
};
// The instance wants to change and may not: the first closed gate.
struct ExpectedGate {
    InstancePattern instance;
    std::string gate;
};

// What is expected at a time, or at every tick of a range.
struct Expectation {
    Position at;
    Duration from{0};
    Duration until{0};
    bool is_range = false;

    std::vector<ExpectedState> symptoms;
    std::optional<std::vector<InstancePattern>> active; // these and no others
    std::vector<ExpectedInterface> actual;
    std::vector<ExpectedInterface> desired;
    std::vector<ExpectedGate> waits;
    std::vector<ExpectedSamples> evaluations;
    std::vector<Condition> holds; // have a sample
    std::vector<Condition> empty; // have none
    // Of the whole range; of a single time, since the tick before it.
    std::optional<std::vector<ExpectedDecision>> decisions; // apply, remove, rollback and verify: all of them
    std::vector<SourceText> messages;                       // text that a message has
};

// What holds at every tick of the range.
struct Invariant {
    Position at;
    Duration from{0};
    std::optional<Duration> until;
    std::vector<Condition> always;          // have a sample
    std::vector<Condition> never;           // have none
    std::optional<std::size_t> max_changes; // transactions of any one interface
};

struct TestCase {
    SourceText name;
    std::optional<std::string> skip; // why it is not run
    Duration period{1'000};          // of ticks; the document's, if it names no other
    std::optional<Duration> latency; // of transactions; the document's, if it names no other
    Duration end{0};                 // the last tick is not later
    std::vector<PlayedSeries> series;
    std::vector<Event> events; // by time
    std::vector<OutcomeRule> outcomes;
    std::vector<Expectation> expectations;
    std::vector<Invariant> invariants; // the document's too
};

// What a test document says, and the policies that it is about.
struct PolicyTest {
    std::string file;
    Duration period{1'000};
    Instant start;                        // wall time of 0s
    std::optional<Duration> latency;      // of transactions; none: their outcomes come with the next tick
    std::vector<SourceText> policy_files; // from the document's folder
    std::size_t beside = 0;               // the last so many of them are there, and are not what is tested
    DesiredState baseline;
    std::vector<std::string>
        programs; // for xdp_program and tc_program: those of baseline, policies and `programs`
    std::vector<TestCase> cases;
    std::vector<PolicyDocument> policies; // filled by the reader of files, one for each of policy_files
};

// All mistakes of the text are told. None where its TOML is broken; after any other mistake there is what
// could be read, to look for more of them.
std::optional<PolicyTest> read_policy_test(std::string_view text, const std::string& file,
                                           Diagnostics& diagnostics);

// Takes the policies in and judges both against each other: names in expectations that no policy has, series
// that nothing reads.
void take_policies(PolicyTest& test, std::vector<PolicyDocument> policies, Diagnostics& diagnostics);

// Whether a text is a test document, by its tables.
bool is_policy_test(std::string_view text);

} // namespace homeostat::policy_test
