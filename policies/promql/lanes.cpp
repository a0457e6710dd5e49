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

class Lanes::Compiler {
  public:
    explicit Compiler(Lanes& lanes) : lanes_(lanes) {}

    // Emits what leaves the value of the expression in the slot. False where it is not element-wise.
    bool vector(const Expr& expr, std::size_t slot) {
        if (expr.type != Type::vector || slot >= slots_max) return false;
        if (const auto* selector = std::get_if<Selector>(&expr.node)) return leaf(*selector, nullptr, slot);
        if (const auto* call = std::get_if<Call>(&expr.node)) return this->call(*call, slot);
        if (const auto* binary = std::get_if<Binary>(&expr.node)) return this->binary(*binary, slot);
        const auto* negation = std::get_if<Negation>(&expr.node);
        if (negation == nullptr || !vector(*negation->inner, slot)) return false;
        emit({.kind = Op::Kind::negate, .slot = number(slot)});
        return true;
    }

  private:
    static std::uint8_t number(std::size_t slot) { return static_cast<std::uint8_t>(slot); }
    void emit(Op op) { lanes_.ops_.push_back(std::move(op)); }

    bool leaf(const Selector& selector, const Call* call, std::size_t slot) {
        if (!is_bindable(selector)) return false;
        std::vector<std::size_t> parameters;
        if (call != nullptr)
            for (const ExprPtr& argument : call->arguments)
                if (argument->type == Type::scalar) {
                    const auto index = scalar(*argument);
                    if (!index) return false;
                    parameters.push_back(*index);
                }
        lanes_.leaves_.push_back({&selector, call, std::move(parameters), nullptr, 0, {}});
        emit({.kind = Op::Kind::leaf, .slot = number(slot), .index = lanes_.leaves_.size() - 1});
        return true;
    }

    std::optional<std::size_t> scalar(const Expr& expr) {
        if (!is_plain_scalar(expr)) return std::nullopt;
        lanes_.scalars_.push_back({&expr, is_fixed(expr), 0});
        return lanes_.scalars_.size() - 1;
    }

    bool call(const Call& call, std::size_t slot) {
        const auto& how = call.function->evaluate;
        if (std::holds_alternative<OfWindow>(how)) {
            const auto matrix = std::ranges::find(call.arguments, Type::matrix, &Expr::type);
            const auto* selector = std::get_if<Selector>(&(*matrix)->node);
            return selector != nullptr && leaf(*selector, &call, slot);
        }
        const auto* of_number = std::get_if<OfNumber>(&how);
        const auto* of_parameters = std::get_if<OfNumberAndParameters>(&how);
        if ((of_number == nullptr && of_parameters == nullptr) || call.arguments.empty()) return false;
        if (!vector(*call.arguments[0], slot)) return false;
        Op op{.kind = of_number ? Op::Kind::number : Op::Kind::parameters, .slot = number(slot)};
        if (of_number) op.number = *of_number;
        if (of_parameters) op.of_parameters = *of_parameters;
        for (std::size_t i = 1; i < call.arguments.size(); ++i) {
            const auto index = scalar(*call.arguments[i]);
            if (!index) return false;
            op.scalars.push_back(*index);
        }
        emit(std::move(op));
        return true;
    }

    bool binary(const Binary& binary, std::size_t slot) {
        const bool left_is_scalar = binary.left->type == Type::scalar;
        if (!left_is_scalar && binary.right->type != Type::scalar) {
            if (!matches_by_all_labels(binary)) return false;
            if (!vector(*binary.left, slot) || !vector(*binary.right, slot + 1)) return false;
            emit({.kind = Op::Kind::both, .slot = number(slot), .binary = &binary});
            return true;
        }
        const auto index = scalar(left_is_scalar ? *binary.left : *binary.right);
        if (!index || !vector(left_is_scalar ? *binary.right : *binary.left, slot)) return false;
        emit({.kind = left_is_scalar ? Op::Kind::scalar_left : Op::Kind::scalar_right,
              .slot = number(slot),
              .index = *index,
              .binary = &binary});
        return true;
    }

    Lanes& lanes_;
};

std::optional<Lanes> Lanes::compile(const Expr& expr) {
    Lanes lanes;
    if (!Compiler(lanes).vector(expr, 0)) return std::nullopt;
    const SeriesStore nothing;
    lanes.scalars_change_ = true;
    lanes.refresh_scalars(nothing, {});
    lanes.scalars_change_ = std::ranges::any_of(lanes.scalars_, [](const Scalar& s) { return !s.fixed; });
    return lanes;
}

void Lanes::refresh_scalars(const SeriesStore& store, Instant now) {
    if (!scalars_change_) return;
    for (Scalar& scalar : scalars_)
        if (const auto value = promql::evaluate(*scalar.expr, store, now))
            scalar.value = std::get<double>(*value); // what reads no series reaches no limit
}

Parameters Lanes::parameters(const std::vector<std::size_t>& scalars) const {
    Parameters made;
    for (const std::size_t index : scalars) made.values[made.count++] = scalars_[index].value;
    return made;
}

// ---- binding

void Lanes::bind(const SeriesStore& store, SelectorCache& cache) {
    bool same = bound_.has_value();
    for (Leaf& leaf : leaves_) {
        std::optional<Keeps> keeps;
        if (leaf.call != nullptr) keeps = std::get<OfWindow>(leaf.call->function->evaluate).keeps;
        leaf.selection = &cache.selection(*leaf.selector, keeps, store);
        same = same && leaf.version == leaf.selection->version();
        leaf.version = leaf.selection->version();
    }
    bound_ = store.index_version();
    if (!same) seat_all(store);
}

void Lanes::seat_all(const SeriesStore& store) {
    ++version_;
    keys_.clear();
    series_ = 0;
    for (const Leaf& leaf : leaves_)
        for (const SeriesId id : leaf.selection->series()) keys_.push_back(store.labels_without_name(id));
    series_ = keys_.size();
    std::ranges::sort(keys_);
    const auto doubled = std::ranges::unique(keys_);
    keys_.erase(doubled.begin(), doubled.end());
    for (Leaf& leaf : leaves_) {
        leaf.seats.assign(keys_.size(), {});
        const auto series = leaf.selection->series();
        for (std::size_t place = 0; place < series.size(); ++place)
            leaf.seats[*find(store.labels_without_name(series[place]))] = {
                series[place], true, leaf.call != nullptr ? &leaf.selection->window(place) : nullptr};
    }
    standings_.assign(keys_.size(), Standing::missing);
    values_.assign(keys_.size(), 0);
}

std::optional<std::size_t> Lanes::find(const Labels& key) const {
    const auto found = std::ranges::lower_bound(keys_, key);
    if (found == keys_.end() || *found != key) return std::nullopt;
    return static_cast<std::size_t>(found - keys_.begin());
}

// ---- evaluating

// So many lanes at a time that their columns stay in the nearest cache.
struct Lanes::Block {
    Block(const SeriesStore& s, Instant n, Duration l) : store(s), now(n), lookback(l) {} // no column is set

    const SeriesStore& store;
    Instant now;
    Duration lookback;
    std::size_t begin = 0; // the first lane
    std::size_t size = 0;  // lanes
    std::size_t samples_used = 0;
    std::array<std::array<double, block_lanes>, slots_max> values;
    std::array<std::array<Standing, block_lanes>, slots_max> standings;
};

void Lanes::read_samples(Block& block, const Op& op, const Leaf& leaf) const {
    const Instant at = block.now - leaf.selector->offset;
    for (std::size_t i = 0; i < block.size; ++i) {
        const Seat& seat = leaf.seats[block.begin + i];
        std::optional<Point> point;
        if (seat.taken) point = block.store.newest(seat.series, at, block.lookback);
        block.samples_used += point ? 1 : 0;
        block.values[op.slot][i] = point ? point->value : 0;
        block.standings[op.slot][i] = point ? Standing::yes : Standing::missing;
    }
}

void Lanes::read_windows(Block& block, const Op& op, const Leaf& leaf) const {
    const OfWindow& function = std::get<OfWindow>(leaf.call->function->evaluate);
    const Parameters scalars = parameters(leaf.scalars);
    const Instant end = block.now - leaf.selector->offset;
    const Instant start = end - *leaf.selector->range;
    std::vector<Point> scratch;
    for (std::size_t i = 0; i < block.size; ++i) {
        const Seat& seat = leaf.seats[block.begin + i];
        std::optional<double> value;
        if (seat.taken) {
            const History history = block.store.history(seat.series);
            seat.window->move_to(history, start, end);
            block.samples_used += seat.window->points();
            std::span<const Point> points;
            if (function.keeps == Keeps::samples)
                points = without_markers(seat.window->span(history), scratch);
            if (!seat.window->empty())
                value = function.value({*seat.window, points, start, end, block.now, scalars.all()});
        }
        block.values[op.slot][i] = value.value_or(0);
        block.standings[op.slot][i] = value ? Standing::yes : Standing::missing;
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

void Lanes::run(Block& block, const Op& op) const {
    using enum Op::Kind;
    double* const values = block.values[op.slot].data();
    Standing* const standings = block.standings[op.slot].data();
    const auto mine = [values](std::size_t i) { return values[i]; };
    switch (op.kind) {
    case leaf: {
        const Leaf& leaf = leaves_[op.index];
        return leaf.call != nullptr ? read_windows(block, op, leaf) : read_samples(block, op, leaf);
    }
    case negate:
        for (std::size_t i = 0; i < block.size; ++i) values[i] = -values[i];
        return;
    case number:
        for (std::size_t i = 0; i < block.size; ++i) values[i] = op.number(values[i]);
        return;
    case parameters: {
        const Parameters scalars = this->parameters(op.scalars);
        for (std::size_t i = 0; i < block.size; ++i) {
            const auto value = op.of_parameters(values[i], scalars.all());
            if (!value) standings[i] = Standing::missing;
            values[i] = value.value_or(0);
        }
        return;
    }
    case both: {
        const double* const right = block.values[op.slot + 1].data();
        const Standing* const right_standings = block.standings[op.slot + 1].data();
        if (!is_set_operator(op.binary->op)) {
            operate(
                *op.binary, block.size, mine, [right](std::size_t i) { return right[i]; }, mine, values,
                standings);
        }
        return combine(is_set_operator(op.binary->op) ? op.binary->op : BinaryOp::logical_and, block.size,
                       values, standings, right, right_standings);
    }
    case scalar_right:
    case scalar_left: {
        const auto scalar = [value = scalars_[op.index].value](std::size_t) { return value; };
        if (op.kind == scalar_right)
            return operate(*op.binary, block.size, mine, scalar, mine, values, standings);
        return operate(*op.binary, block.size, scalar, mine, mine, values, standings);
    }
    }
}

bool Lanes::evaluate(const SeriesStore& store, Instant now, const EvalOptions& options) {
    if (bound_ != store.index_version()) bind(store, *options.selectors);
    if (series_ > options.series_max || keys_.size() > options.result_max) return false;
    refresh_scalars(store, now);
    Block block(store, now, options.lookback);
    any_yes_ = false;
    for (; block.begin < keys_.size(); block.begin += block_lanes) {
        block.size = std::min(block_lanes, keys_.size() - block.begin);
        for (const Op& op : ops_) run(block, op);
        if (block.samples_used > options.samples_max) return false;
        for (std::size_t i = 0; i < block.size; ++i) {
            standings_[block.begin + i] = block.standings[0][i];
            values_[block.begin + i] = block.values[0][i];
            any_yes_ = any_yes_ || block.standings[0][i] == Standing::yes;
        }
    }
    return true;
}

} // namespace homeostat::promql
