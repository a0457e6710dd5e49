// Which parts of the policies the tests reached: each side of each condition and of each operand of a `when`,
// each step of a symptom's life, each gate that the policies ask for, each attribute of an overlay.
#pragma once

#include "engine/policy_test/run.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace homeostat::policy_test {

struct CoveragePoint {
    std::string file;
    Position at;
    std::string what;   // "symptom udp_flood, raise: 'udp_pps > 200k'"
    std::string wanted; // "true", "closed", "cut short"
    bool reached = false;
};

// Collects over any number of cases of one document; the policies are the document's.
class Coverage {
  public:
    explicit Coverage(const PolicyTest& test);

    // After each tick of a case.
    void observe(const Simulation& simulation, const Decisions& decisions);

    // In the order of files and places.
    std::vector<CoveragePoint> points() const;

  private:
    using Point = std::size_t;

    // A condition, or a part of one.
    struct Part {
        promql::Expr expr;
        promql::Expr presence;
        std::string only_with; // a symptom that must have an instance; "": none
        Point is_true;
        Point is_false;
        std::optional<Point> is_missing;
    };

    // An operand of a `when`.
    struct Operand {
        When when; // the whole
        When operand;
        bool drives = false;
        Point is_true;
        Point is_false;
    };

    Point add(const SourceText& source, Position at, std::string what, std::string wanted);
    void add_condition(const std::string& whose, const Condition& condition, bool missing,
                       const std::string& symptom);
    void add_parts(const std::string& whose, const Condition& condition, const promql::Expr& expr,
                   const std::string& symptom);
    void add_symptom(const SymptomRule& rule);
    void add_when(const AdaptationRule& rule);
    void add_adaptation(const AdaptationRule& rule, std::span<const AdaptationRule> all);
    void observe_conditions(const EngineState& state, const Decisions& decisions);
    void observe_operands(const Knowledge& knowledge);
    void observe_receipt(const Receipt& receipt);
    void observe_overlays(const EngineState& state);
    void reach(const std::string& key);

    std::vector<CoveragePoint> points_;
    std::vector<Part> parts_;
    std::vector<Operand> operands_;
    std::map<std::string, Point> keyed_; // transitions, gates, outcomes and attributes
    std::vector<std::pair<std::string, AdaptationRule>> settings_; // by key, a rule with one setting only
};

} // namespace homeostat::policy_test
