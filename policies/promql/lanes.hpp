// Evaluates element-wise expressions for all their label sets at once, without touching a label. Most
// conditions are element-wise: what they yield for one label set depends on that label set alone. Such an
// expression is compiled once; bound to the series that its selectors choose, it has a lane for each label
// set without the metric name, and each operation runs over columns of lanes. Expressions that differ only in
// what they select and in their numbers share the columns. In a lane it is seen whether the label set is in
// e, and whether it is in P(e), in one pass. Where there are few lanes, they are computed one by one. The
// reference is evaluate(): results are the same.
#pragma once

#include "policies/promql/evaluate.hpp"
#include "policies/promql/functions.hpp"
#include "policies/promql/selection.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace homeostat::promql {

// Where a label set stands: not in P(e), see presence(); in P(e) only; in e.
enum class Standing : std::uint8_t { missing, no, yes };

// An element-wise expression as postfix code.
struct LaneProgram {
    enum class Kind : std::uint8_t { leaf, negate, number, parameters, both, scalar_right, scalar_left };

    struct Op {
        Kind kind;
        std::uint8_t slot;   // of the result, and of the first operand; the second one is in the next slot
        std::uint32_t index; // of the leaf, or of the first scalar
        std::uint32_t scalars = 0;
        const Call* call = nullptr;     // number, parameters
        const Binary* binary = nullptr; // both, scalar_right, scalar_left
    };

    struct Leaf {
        const Selector* selector;
        const Call* call;           // of a range function, else null
        std::uint32_t first_scalar; // of its parameters
        std::uint32_t scalars;
    };

    // None where the expression is not element-wise: its leaves must be selectors of a metric name, or
    // functions of their ranges, without `@`; between vectors it may match by all labels only. The expression
    // outlives this.
    static std::optional<LaneProgram> compile(const Expr& expr);

    // Equal where programs differ only in what their leaves select and in their scalars.
    std::string shape() const;

    std::vector<Op> ops;
    std::vector<Leaf> leaves;
    std::vector<const Expr*> scalars;
};

// Programs of one shape, evaluated together. Members are numbered as they join, the first one is 0.
class Lanes {
  public:
    explicit Lanes(LaneProgram first);
    std::size_t join(const LaneProgram& member); // of the same shape; returns its number

    // Evaluates every lane of every member. The cache of the options is needed, and outlives this.
    void evaluate(const SeriesStore& store, Instant now, const EvalOptions& options);

    // What was found of one member. Valid until the next evaluation.
    struct View {
        bool judged;  // false where a limit of one evaluation is reached: only evaluate() can tell
        bool any_yes; // of all lanes
        std::span<const Labels> keys; // of each lane, in canonical order
        std::span<const Standing> standings;
        std::span<const double> values; // of Standing::yes

        std::optional<std::size_t> find(const Labels& key) const;
    };
    View of(std::size_t member) const;
    bool is_quiet(std::size_t member) const { return members_[member].judged && !members_[member].any_yes; }
    // Another one whenever the keys of a member are others.
    std::uint64_t version() const { return version_; }

  private:
    static constexpr SeriesId no_series{~std::uint32_t{0}};

    struct Leaf {
        std::optional<OfWindow> function; // of a range
        Duration offset;
        Duration range; // of a range
        std::uint32_t first_scalar;
        std::uint32_t scalars;
        std::vector<const Selector*> selectors; // by member
        std::vector<Selection*> selections;     // by member
        std::vector<std::uint64_t> versions;    // of the selections
        std::vector<SeriesId> series;           // by lane; or no_series
        std::vector<WindowSummary*> windows;    // by lane, of a range; or null
    };

    struct Scalar {
        std::vector<const Expr*> exprs; // by member
        std::vector<double> values;     // by member
        std::vector<double> column;     // by lane
    };

    struct Member {
        std::size_t end = 0; // behind its last lane
        std::size_t series = 0;
        std::size_t samples = 0;
        bool judged = false;
        bool any_yes = false;
    };

    struct Block;

    // Arithmetic and comparisons of instant selectors, lane by lane: over cells that hold the values of the
    // leaves, then the scalars, then what each step makes.
    struct Step {
        double (*of_one)(double) = nullptr;
        double (*of_two)(double, double) = nullptr;
        bool filters = false;
        std::uint8_t to;
        std::uint8_t left;
        std::uint8_t right = 0;
        std::uint8_t kept = 0; // whose value a filter leaves
    };

    std::optional<Step> step_of(const LaneProgram::Op& op, std::span<const std::uint8_t> cells) const;
    std::vector<Step> plain_steps() const;
    bool run_plain_lane(const SeriesStore& store, Instant now, Duration lookback, std::size_t lane);
    // The most that evaluate() could count as work: a unit for each operation, and for each sample of it.
    std::size_t work_bound(std::size_t lanes) const {
        return (ops_.size() + scalars_.size() + 2) * (lanes + 1);
    }
    std::size_t begin_of(std::size_t member) const { return member == 0 ? 0 : members_[member - 1].end; }
    void bind(const SeriesStore& store, SelectorCache& cache);
    void seat_all(const SeriesStore& store);
    void seat_member(const SeriesStore& store, std::size_t member);
    void refresh_scalars(const SeriesStore& store, Instant now);
    void run(Block& block, const LaneProgram::Op& op) const;
    void read_samples(Block& block, std::uint8_t slot, const Leaf& leaf) const;
    void read_windows(Block& block, std::uint8_t slot, const Leaf& leaf) const;
    static void prefetch_windows(const Block& block, const Leaf& leaf, std::size_t lane);
    void keep(const Block& block);

    std::vector<LaneProgram::Op> ops_;
    std::vector<Step> steps_; // none where the expression is not so plain
    std::vector<Leaf> leaves_;
    std::vector<Scalar> scalars_;
    bool scalars_change_ = false; // with time
    std::vector<Member> members_;
    std::optional<std::uint64_t> bound_; // the store's index version
    std::uint64_t version_ = 0;
    std::vector<std::uint32_t> member_of_; // by lane
    std::vector<Labels> keys_;             // by lane
    std::vector<Standing> standings_;      // by lane
    std::vector<double> values_;           // by lane
};

inline Lanes::View Lanes::of(std::size_t member) const {
    const std::size_t begin = begin_of(member);
    const std::size_t size = members_[member].end - begin;
    return {members_[member].judged, members_[member].any_yes, std::span(keys_).subspan(begin, size),
            std::span(standings_).subspan(begin, size), std::span(values_).subspan(begin, size)};
}

} // namespace homeostat::promql
