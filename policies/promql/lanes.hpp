// Evaluates an element-wise expression for all its label sets at once, without touching a label. Most
// conditions are element-wise: what they yield for one label set depends on that label set alone. Such an
// expression is compiled once; bound to the series that its selectors choose, it has a lane for each label
// set without the metric name, and each operation runs over columns of lanes. In a lane it is seen whether
// the label set is in e, and whether it is in P(e), in one pass. The reference is evaluate(): results are the
// same.
#pragma once

#include "policies/promql/evaluate.hpp"
#include "policies/promql/functions.hpp"
#include "policies/promql/selection.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace homeostat::promql {

struct Parameters; // see evaluation.hpp

// Where a label set stands: not in P(e), see presence(); in P(e) only; in e.
enum class Standing : std::uint8_t { missing, no, yes };

class Lanes {
  public:
    // None where the expression is not element-wise: its leaves must be selectors of a metric name, or
    // functions of their ranges, without `@`; between vectors it may match by all labels only. The expression
    // outlives this.
    static std::optional<Lanes> compile(const Expr& expr);

    // Evaluates every lane. False where a limit of one evaluation may be reached: then only evaluate() can
    // tell. The cache of the options is needed, and outlives this.
    bool evaluate(const SeriesStore& store, Instant now, const EvalOptions& options);

    // One for each lane, in canonical order.
    std::span<const Labels> keys() const { return keys_; }
    std::span<const Standing> standings() const { return standings_; }
    std::span<const double> values() const { return values_; } // of Standing::yes
    bool any_yes() const { return any_yes_; }
    std::optional<std::size_t> find(const Labels& key) const;
    // Another one whenever the keys are others.
    std::uint64_t version() const { return version_; }

  private:
    // The series of a lane at a leaf; none where there is none.
    struct Seat {
        SeriesId series{};
        bool taken = false;
        WindowSummary* window = nullptr; // of a range
    };

    struct Leaf {
        const Selector* selector;
        const Call* call;                 // of a range function, else null
        std::vector<std::size_t> scalars; // its parameters
        Selection* selection = nullptr;
        std::uint64_t version = 0; // of the selection
        std::vector<Seat> seats;
    };

    struct Scalar {
        const Expr* expr;
        bool fixed; // by the expression alone
        double value;
    };

    struct Op {
        enum class Kind : std::uint8_t { leaf, negate, number, parameters, both, scalar_right, scalar_left };

        Kind kind;
        std::uint8_t slot;      // of the result, and of the first operand
        std::size_t index = 0;  // of the leaf or of the scalar
        const Binary* binary{}; // both, scalar_right, scalar_left
        OfNumber number{};
        OfNumberAndParameters of_parameters{};
        std::vector<std::size_t> scalars{}; // parameters
    };

    class Compiler;
    struct Block;

    void bind(const SeriesStore& store, SelectorCache& cache);
    void seat_all(const SeriesStore& store);
    void refresh_scalars(const SeriesStore& store, Instant now);
    Parameters parameters(const std::vector<std::size_t>& scalars) const;
    void run(Block& block, const Op& op) const;
    void read_samples(Block& block, const Op& op, const Leaf& leaf) const;
    void read_windows(Block& block, const Op& op, const Leaf& leaf) const;

    std::vector<Op> ops_;
    std::vector<Leaf> leaves_;
    std::vector<Scalar> scalars_;
    bool scalars_change_ = false;
    std::optional<std::uint64_t> bound_; // the store's index version
    std::size_t series_ = 0;             // of all leaves
    std::uint64_t version_ = 0;
    std::vector<Labels> keys_;
    std::vector<Standing> standings_;
    std::vector<double> values_;
    bool any_yes_ = false;
};

} // namespace homeostat::promql
