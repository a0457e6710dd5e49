#include "policies/promql/lanes.hpp"

#include "policies/promql/evaluation.hpp"
#include "policies/promql/operators.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace homeostat::promql {

namespace {

constexpr std::size_t slots_max = 16;
constexpr std::size_t block_lanes = 64;
constexpr std::size_t cells_max = 32;
constexpr std::size_t few_lanes = 4; // for which columns are not worth their while

// No vector in it, so it is one number for all lanes.
bool is_plain_scalar(const Expr& expr) {
    bool plain = expr.type == Type::scalar;
    for_each_child(expr, [&plain](const Expr& child) { plain = plain && is_plain_scalar(child); });
    return plain;
}

bool is_fixed(const Expr& expr) {
    const auto* call = std::get_if<Call>(&expr.node);
    bool fixed = call == nullptr || call->function->name != "time";
    for_each_child(expr, [&fixed](const Expr& child) { fixed = fixed && is_fixed(child); });
    return fixed;
}

// What reads no series reaches no limit.
double value_of(const Expr& scalar, const SeriesStore& store, Instant now) {
    const auto value = promql::evaluate(scalar, store, now);
    return value ? std::get<double>(*value) : 0;
}

bool is_bindable(const Selector& selector) {
    return !selector.metric_name.empty() && !selector.at &&
           std::ranges::none_of(selector.matchers,
                                [](const Matcher& m) { return m.label == metric_name_label; });
}

bool matches_by_all_labels(const Binary& binary) {
    using enum VectorMatching::Cardinality;
    const auto expected = is_set_operator(binary.op) ? many_to_many : one_to_one;
    const VectorMatching& matching = binary.matching;
    return !matching.on && matching.labels.empty() && matching.cardinality == expected;
}

} // namespace

// ---- compiling

namespace {

class Compiler {
  public:
    // Emits what leaves the value of the expression in the slot. False where it is not element-wise.
    bool vector(const Expr& expr, std::size_t slot) {
        if (expr.type != Type::vector || slot >= slots_max) return false;
        if (const auto* selector = std::get_if<Selector>(&expr.node)) return leaf(*selector, nullptr, slot);
        if (const auto* call = std::get_if<Call>(&expr.node)) return this->call(*call, slot);
        if (const auto* binary = std::get_if<Binary>(&expr.node)) return this->binary(*binary, slot);
        const auto* negation = std::get_if<Negation>(&expr.node);
        if (negation == nullptr || !vector(*negation->inner, slot)) return false;
        emit(Kind::negate, slot, 0);
        return true;
    }

    LaneProgram made;

  private:
    using Kind = LaneProgram::Kind;

    LaneProgram::Op& emit(Kind kind, std::size_t slot, std::size_t index) {
        return made.ops.emplace_back(LaneProgram::Op{.kind = kind,
                                                     .slot = static_cast<std::uint8_t>(slot),
                                                     .index = static_cast<std::uint32_t>(index)});
    }

    bool scalar(const Expr& expr) {
        if (!is_plain_scalar(expr)) return false;
        made.scalars.push_back(&expr);
        return true;
    }

    // The scalar arguments of a call, one after another.
    bool scalars(const Call& call) {
        return std::ranges::all_of(call.arguments, [this](const ExprPtr& argument) {
            return argument->type != Type::scalar || scalar(*argument);
        });
    }

    std::uint32_t scalar_count() const { return static_cast<std::uint32_t>(made.scalars.size()); }

    bool leaf(const Selector& selector, const Call* call, std::size_t slot) {
        const std::uint32_t first = scalar_count();
        if (!is_bindable(selector) || (call != nullptr && !scalars(*call))) return false;
        made.leaves.push_back({&selector, call, first, scalar_count() - first});
        emit(Kind::leaf, slot, made.leaves.size() - 1);
        return true;
    }

    bool call(const Call& call, std::size_t slot) {
        const auto& how = call.function->evaluate;
        if (std::holds_alternative<OfWindow>(how)) {
            const auto matrix = std::ranges::find(call.arguments, Type::matrix, &Expr::type);
            const auto* selector = std::get_if<Selector>(&(*matrix)->node);
            return selector != nullptr && leaf(*selector, &call, slot);
        }
        if (std::holds_alternative<OfCall>(how) || call.arguments.empty()) return false;
        if (!vector(*call.arguments[0], slot)) return false;
        const std::uint32_t first = scalar_count();
        if (!scalars(call)) return false;
        const bool of_number = std::holds_alternative<OfNumber>(how);
        LaneProgram::Op& op = emit(of_number ? Kind::number : Kind::parameters, slot, first);
        op.scalars = scalar_count() - first;
        op.call = &call;
        return true;
    }

    bool binary(const Binary& binary, std::size_t slot) {
        const bool left_is_scalar = binary.left->type == Type::scalar;
        if (!left_is_scalar && binary.right->type != Type::scalar) {
            if (!matches_by_all_labels(binary)) return false;
            if (!vector(*binary.left, slot) || !vector(*binary.right, slot + 1)) return false;
            emit(Kind::both, slot, 0).binary = &binary;
            return true;
        }
        const std::uint32_t index = scalar_count();
        if (!scalar(left_is_scalar ? *binary.left : *binary.right)) return false;
        if (!vector(left_is_scalar ? *binary.right : *binary.left, slot)) return false;
        emit(left_is_scalar ? Kind::scalar_left : Kind::scalar_right, slot, index).binary = &binary;
        return true;
    }
};

} // namespace

std::optional<LaneProgram> LaneProgram::compile(const Expr& expr) {
    Compiler compiler;
    if (!compiler.vector(expr, 0)) return std::nullopt;
    return std::move(compiler.made);
}

std::string LaneProgram::shape() const {
    std::string text;
    const auto add = [&text](std::string_view part) { (text += part) += ' '; };
    const auto add_number = [&add](std::int64_t number) { add(std::to_string(number)); };
    for (const Op& op : ops) {
        add_number(static_cast<int>(op.kind));
        add_number(op.slot);
        add_number(op.index);
        add_number(op.scalars);
        if (op.call != nullptr) add(op.call->function->name);
        if (op.binary != nullptr) add(to_text(op.binary->op));
        if (op.binary != nullptr && op.binary->returns_bool) add("bool");
    }
    for (const Leaf& leaf : leaves) {
        add(leaf.call != nullptr ? leaf.call->function->name : "sample");
        add_number(leaf.selector->range.value_or(Duration{}).count());
        add_number(leaf.selector->offset.count());
        add_number(leaf.first_scalar);
        add_number(leaf.scalars);
    }
    return text;
}

Lanes::Lanes(LaneProgram first) : ops_(std::move(first.ops)), scalars_(first.scalars.size()) {
    for (const LaneProgram::Leaf& leaf : first.leaves) {
        std::optional<OfWindow> function;
        if (leaf.call != nullptr) function = std::get<OfWindow>(leaf.call->function->evaluate);
        leaves_.push_back({.function = function,
                           .offset = leaf.selector->offset,
                           .range = leaf.selector->range.value_or(Duration{}),
                           .first_scalar = leaf.first_scalar,
                           .scalars = leaf.scalars,
                           .selectors = {},
                           .selections = {},
                           .versions = {},
                           .series = {},
                           .windows = {}});
    }
    steps_ = plain_steps();
    join(first);
}

std::size_t Lanes::join(const LaneProgram& member) {
    members_.emplace_back();
    bound_.reset();
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
        leaves_[i].selectors.push_back(member.leaves[i].selector);
        leaves_[i].selections.push_back(nullptr);
        leaves_[i].versions.push_back(0);
    }
    const SeriesStore nothing;
    for (std::size_t i = 0; i < scalars_.size(); ++i) {
        const Expr& expr = *member.scalars[i];
        scalars_change_ = scalars_change_ || !is_fixed(expr);
        scalars_[i].exprs.push_back(&expr);
        scalars_[i].values.push_back(value_of(expr, nothing, {}));
    }
    return members_.size() - 1;
}

// ---- binding

void Lanes::bind(const SeriesStore& store, SelectorCache& cache) {
    bool same = true;
    for (Leaf& leaf : leaves_) {
        const auto keeps = leaf.function ? std::optional(leaf.function->keeps) : std::nullopt;
        for (std::size_t member = 0; member < members_.size(); ++member) {
            Selection*& selection = leaf.selections[member];
            selection = selection == nullptr ? &cache.selection(*leaf.selectors[member], keeps, store)
                                             : &cache.refreshed(*selection, store);
            same = same && leaf.versions[member] == selection->version();
            leaf.versions[member] = selection->version();
        }
    }
    bound_ = store.index_version();
    if (!same) seat_all(store);
}

void Lanes::seat_all(const SeriesStore& store) {
    ++version_;
    keys_.clear();
    member_of_.clear();
    for (Leaf& leaf : leaves_) {
        leaf.series.clear();
        leaf.windows.clear();
    }
    for (std::size_t member = 0; member < members_.size(); ++member) seat_member(store, member);
    standings_.assign(keys_.size(), Standing::missing);
    values_.assign(keys_.size(), 0);
    for (Scalar& scalar : scalars_) {
        scalar.column.resize(keys_.size());
        for (std::size_t lane = 0; lane < keys_.size(); ++lane)
            scalar.column[lane] = scalar.values[member_of_[lane]];
    }
}

void Lanes::seat_member(const SeriesStore& store, std::size_t member) {
    std::vector<Labels> keys;
    for (const Leaf& leaf : leaves_)
        for (const SeriesId id : leaf.selections[member]->series())
            keys.push_back(store.labels_without_name(id));
    members_[member].series = keys.size();
    std::ranges::sort(keys);
    const auto doubled = std::ranges::unique(keys);
    keys.erase(doubled.begin(), doubled.end());
    const std::size_t begin = keys_.size();
    members_[member].end = begin + keys.size();
    for (Leaf& leaf : leaves_) {
        leaf.series.resize(members_[member].end, no_series);
        if (leaf.function) leaf.windows.resize(members_[member].end, nullptr);
        Selection& selection = *leaf.selections[member];
        for (std::size_t place = 0; place < selection.series().size(); ++place) {
            const SeriesId id = selection.series()[place];
            const auto in_keys = std::ranges::lower_bound(keys, store.labels_without_name(id)) - keys.begin();
            const std::size_t lane = begin + static_cast<std::size_t>(in_keys);
            leaf.series[lane] = id;
            if (leaf.function) leaf.windows[lane] = &selection.window(place);
        }
    }
    member_of_.resize(members_[member].end, static_cast<std::uint32_t>(member));
    std::ranges::move(keys, std::back_inserter(keys_));
}

void Lanes::refresh_scalars(const SeriesStore& store, Instant now) {
    for (Scalar& scalar : scalars_)
        for (std::size_t member = 0; member < members_.size(); ++member) {
            scalar.values[member] = value_of(*scalar.exprs[member], store, now);
            std::fill(scalar.column.begin() + static_cast<std::ptrdiff_t>(begin_of(member)),
                      scalar.column.begin() + static_cast<std::ptrdiff_t>(members_[member].end),
                      scalar.values[member]);
        }
}

std::optional<std::size_t> Lanes::View::find(const Labels& key) const {
    const auto found = std::ranges::lower_bound(keys, key);
    if (found == keys.end() || *found != key) return std::nullopt;
    return static_cast<std::size_t>(found - keys.begin());
}

// ---- evaluating

// So many lanes at a time that their columns stay in the nearest cache.
struct Lanes::Block {
    Block(const SeriesStore& s, Instant n, Duration l) : store(s), now(n), lookback(l) {} // no column is set

    const SeriesStore& store;
    Instant now;
    Duration lookback;
    std::size_t begin = 0;                        // the first lane
    std::size_t size = 0;                         // lanes
    std::array<std::size_t, block_lanes> samples; // that were read for each lane
    std::array<std::array<double, block_lanes>, slots_max> values;
    std::array<std::array<Standing, block_lanes>, slots_max> standings;
};

void Lanes::read_samples(Block& block, std::uint8_t slot, const Leaf& leaf) const {
    const Instant at = block.now - leaf.offset;
    const SeriesId* const series = leaf.series.data() + block.begin;
    for (std::size_t i = 0; i < block.size; ++i) {
        std::optional<Point> point;
        if (series[i] != no_series) point = block.store.newest(series[i], at, block.lookback);
        block.samples[i] += point ? 1 : 0;
        block.values[slot][i] = point ? point->value : 0;
        block.standings[slot][i] = point ? Standing::yes : Standing::missing;
    }
}

// What a window touches lies scattered in memory, so it is asked for in advance: first the window and the
// series, a little later the sample that will leave.
void Lanes::prefetch_windows(const Block& block, const Leaf& leaf, std::size_t lane) {
    constexpr std::size_t ahead = 6; // lanes
    const std::size_t far = lane + 2 * ahead;
    if (far < leaf.series.size() && leaf.windows[far] != nullptr) {
        block.store.prefetch(leaf.series[far]);
        leaf.windows[far]->prefetch();
    }
    const std::size_t near = lane + ahead;
    if (near < leaf.series.size() && leaf.windows[near] != nullptr)
        leaf.windows[near]->prefetch_first(block.store.history(leaf.series[near]));
}

void Lanes::read_windows(Block& block, std::uint8_t slot, const Leaf& leaf) const {
    const OfWindow& function = *leaf.function;
    const Instant end = block.now - leaf.offset;
    const Instant start = end - leaf.range;
    Parameters parameters;
    parameters.count = leaf.scalars;
    std::vector<Point> scratch;
    for (std::size_t i = 0; i < block.size; ++i) {
        const std::size_t lane = block.begin + i;
        prefetch_windows(block, leaf, lane);
        std::optional<double> value;
        if (leaf.windows[lane] != nullptr) {
            WindowSummary& window = *leaf.windows[lane];
            const History history = block.store.history(leaf.series[lane]);
            window.move_to(history, start, end);
            block.samples[i] += window.points();
            for (std::uint32_t k = 0; k < leaf.scalars; ++k)
                parameters.values[k] = scalars_[leaf.first_scalar + k].column[lane];
            std::span<const Point> points;
            if (reads_samples(function.keeps, window))
                points = without_markers(window.span(history), scratch);
            if (!window.empty())
                value = function.value({window, points, start, end, block.now, parameters.all()});
        }
        block.values[slot][i] = value.value_or(0);
        block.standings[slot][i] = value ? Standing::yes : Standing::missing;
    }
}

namespace {

// value(i) = f(left(i), right(i)), or where f is a filter, `kept` where it holds; a filter moves what it
// rejects from yes to no.
template <class Left, class Right, class Kept> void operate(const Binary& binary, std::size_t size, Left left,
                                                            Right right, Kept kept, double* values,
                                                            Standing* standings) {
    const bool filters = is_comparison(binary.op) && !binary.returns_bool;
    with_operation(binary.op, [&](auto f) {
        for (std::size_t i = 0; i < size; ++i) {
            const double value = f(left(i), right(i));
            if (filters && value == 0) standings[i] = std::min(standings[i], Standing::no);
            values[i] = filters ? kept(i) : value;
        }
    });
}

void combine(BinaryOp op, std::size_t size, double* values, Standing* standings, const double* right,
             const Standing* right_standings) {
    for (std::size_t i = 0; i < size; ++i) {
        const Standing other = right_standings[i];
        if (op == BinaryOp::logical_unless) {
            if (other == Standing::yes) standings[i] = std::min(standings[i], Standing::no);
        } else if (op == BinaryOp::logical_or) {
            if (standings[i] != Standing::yes) values[i] = right[i];
            standings[i] = std::max(standings[i], other);
        } else {
            standings[i] = std::min(standings[i], other);
        }
    }
}

} // namespace

void Lanes::run(Block& block, const LaneProgram::Op& op) const {
    using enum LaneProgram::Kind;
    double* const values = block.values[op.slot].data();
    Standing* const standings = block.standings[op.slot].data();
    const auto mine = [values](std::size_t i) { return values[i]; };
    const auto scalar = [this, &block, &op](std::size_t i) {
        return scalars_[op.index].column[block.begin + i];
    };
    switch (op.kind) {
    case leaf: {
        const Leaf& leaf = leaves_[op.index];
        return leaf.function ? read_windows(block, op.slot, leaf) : read_samples(block, op.slot, leaf);
    }
    case negate:
        for (std::size_t i = 0; i < block.size; ++i) values[i] = -values[i];
        return;
    case number: {
        const OfNumber function = std::get<OfNumber>(op.call->function->evaluate);
        for (std::size_t i = 0; i < block.size; ++i) values[i] = function(values[i]);
        return;
    }
    case parameters: {
        const OfNumberAndParameters function = std::get<OfNumberAndParameters>(op.call->function->evaluate);
        Parameters given;
        given.count = op.scalars;
        for (std::size_t i = 0; i < block.size; ++i) {
            for (std::uint32_t k = 0; k < op.scalars; ++k)
                given.values[k] = scalars_[op.index + k].column[block.begin + i];
            const auto value = function(values[i], given.all());
            if (!value) standings[i] = Standing::missing;
            values[i] = value.value_or(0);
        }
        return;
    }
    case both: {
        const double* const right = block.values[op.slot + 1].data();
        const Standing* const right_standings = block.standings[op.slot + 1].data();
        const bool is_set = is_set_operator(op.binary->op);
        const auto other = [right](std::size_t i) { return right[i]; };
        if (!is_set) operate(*op.binary, block.size, mine, other, mine, values, standings);
        return combine(is_set ? op.binary->op : BinaryOp::logical_and, block.size, values, standings, right,
                       right_standings);
    }
    case scalar_right:
        return operate(*op.binary, block.size, mine, scalar, mine, values, standings);
    case scalar_left:
        return operate(*op.binary, block.size, scalar, mine, mine, values, standings);
    }
}

void Lanes::keep(const Block& block) {
    for (std::size_t i = 0; i < block.size; ++i) {
        const std::size_t lane = block.begin + i;
        Member& member = members_[member_of_[lane]];
        standings_[lane] = block.standings[0][i];
        values_[lane] = block.values[0][i];
        member.any_yes = member.any_yes || block.standings[0][i] == Standing::yes;
        member.samples += block.samples[i];
    }
}

namespace {

double negated(double value) { return -value; }

auto function_of(BinaryOp op) {
    using OfTwo = double (*)(double, double);
    return with_operation(op, [](auto f) -> OfTwo { return f; });
}

} // namespace

// `cells` tells where the value of each slot is; `to` is left to the caller. None where it is not plain.
std::optional<Lanes::Step> Lanes::step_of(const LaneProgram::Op& op,
                                          std::span<const std::uint8_t> cells) const {
    using enum LaneProgram::Kind;
    Step step{.to = 0, .left = cells[op.slot]};
    if (op.kind == negate || op.kind == number) {
        step.of_one = op.kind == negate ? negated : std::get<OfNumber>(op.call->function->evaluate);
        return step;
    }
    if (op.kind == leaf || op.kind == parameters || is_set_operator(op.binary->op)) return std::nullopt;
    const auto scalar = static_cast<std::uint8_t>(leaves_.size() + op.index);
    step.right = op.kind == both ? cells[op.slot + 1U] : op.kind == scalar_right ? scalar : step.left;
    step.kept = step.left;
    if (op.kind == scalar_left) step.left = scalar;
    step.of_two = function_of(op.binary->op);
    step.filters = is_comparison(op.binary->op) && !op.binary->returns_bool;
    return step;
}

std::vector<Lanes::Step> Lanes::plain_steps() const {
    if (leaves_.size() + scalars_.size() + ops_.size() > cells_max) return {};
    std::vector<Step> steps;
    std::array<std::uint8_t, slots_max + 1> cells{};
    auto next = static_cast<std::uint8_t>(leaves_.size() + scalars_.size());
    for (const LaneProgram::Op& op : ops_) {
        if (op.kind == LaneProgram::Kind::leaf) {
            if (leaves_[op.index].function) return {};
            cells[op.slot] = static_cast<std::uint8_t>(op.index);
            continue;
        }
        auto step = step_of(op, cells);
        if (!step) return {};
        step->to = cells[op.slot] = next++;
        steps.push_back(*step);
    }
    return steps;
}

// False, and nothing is done, where a leaf has no fresh sample. Where all have, nothing but a filter takes a
// value away, and nobody asks for what stands between.
bool Lanes::run_plain_lane(const SeriesStore& store, Instant now, Duration lookback, std::size_t lane) {
    std::array<double, cells_max> cells; // those that are read are set
    double* next = cells.data();
    for (const Leaf& leaf : leaves_) {
        const SeriesId id = leaf.series[lane];
        if (id == no_series) return false;
        const Point& newest = *store.history(id).newest;
        // Unsigned, so that a sample of the future, or none, is too old.
        const auto age = static_cast<std::uint64_t>(to_ms(now - leaf.offset)) -
                         static_cast<std::uint64_t>(to_ms(newest.time));
        if (age >= static_cast<std::uint64_t>(lookback.count()) || is_stale(newest.value)) return false;
        *next++ = newest.value;
    }
    for (const Scalar& scalar : scalars_) *next++ = scalar.column[lane];
    bool holds = true;
    for (const Step& step : steps_) {
        const double left = cells[step.left];
        double value = step.of_two != nullptr ? step.of_two(left, cells[step.right]) : step.of_one(left);
        if (step.filters) {
            holds = holds && value != 0;
            value = cells[step.kept];
        }
        cells[step.to] = value;
    }
    Member& member = members_[member_of_[lane]];
    member.any_yes = member.any_yes || holds;
    member.samples += leaves_.size();
    standings_[lane] = holds ? Standing::yes : Standing::no;
    values_[lane] = cells[steps_.back().to];
    return true;
}

void Lanes::evaluate(const SeriesStore& store, Instant now, const EvalOptions& options) {
    if (bound_ != store.index_version()) bind(store, *options.selectors);
    if (scalars_change_) refresh_scalars(store, now);
    for (Member& member : members_) {
        member.any_yes = false;
        member.samples = 0;
    }
    const bool one_by_one = !steps_.empty() && keys_.size() <= few_lanes;
    Block block(store, now, options.lookback);
    for (; block.begin < keys_.size(); block.begin += block.size) {
        block.size = one_by_one ? 1 : std::min(block_lanes, keys_.size() - block.begin);
        if (one_by_one && run_plain_lane(store, now, options.lookback, block.begin)) continue;
        std::fill_n(block.samples.begin(), block.size, 0);
        for (const LaneProgram::Op& op : ops_) run(block, op);
        keep(block);
    }
    const bool reads_every_sample = std::ranges::any_of(
        leaves_, [](const Leaf& leaf) { return leaf.function && leaf.function->keeps == Keeps::samples; });
    for (std::size_t i = 0; i < members_.size(); ++i) {
        Member& member = members_[i];
        const std::size_t lanes = member.end - begin_of(i);
        member.judged = member.samples <= options.samples_max && member.series <= options.series_max &&
                        lanes <= options.result_max &&
                        work_bound(lanes) + (reads_every_sample ? member.samples : 0) <= options.work_max;
    }
}

} // namespace homeostat::promql
