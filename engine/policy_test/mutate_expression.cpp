#include "engine/policy_test/mutation.hpp"

#include "policies/promql/parser.hpp"
#include "policies/template.hpp"

#include <array>
#include <map>
#include <optional>

namespace homeostat::policy_test {

using namespace promql;

namespace {

using Rebuild = std::function<Expr(Expr)>;

constexpr Duration second{1'000};

struct ComparisonChange {
    BinaryOp from;
    BinaryOp to;
};
constexpr std::array<ComparisonChange, 10> comparison_changes{{{BinaryOp::gt, BinaryOp::ge},
                                                               {BinaryOp::gt, BinaryOp::lt},
                                                               {BinaryOp::ge, BinaryOp::gt},
                                                               {BinaryOp::ge, BinaryOp::lt},
                                                               {BinaryOp::lt, BinaryOp::le},
                                                               {BinaryOp::lt, BinaryOp::gt},
                                                               {BinaryOp::le, BinaryOp::lt},
                                                               {BinaryOp::le, BinaryOp::gt},
                                                               {BinaryOp::eq, BinaryOp::ne},
                                                               {BinaryOp::ne, BinaryOp::eq}}};

struct FunctionChange {
    std::string_view from;
    std::string_view to;
};
constexpr std::array<FunctionChange, 8> function_changes{{{"rate", "increase"},
                                                          {"increase", "rate"},
                                                          {"irate", "rate"},
                                                          {"max_over_time", "min_over_time"},
                                                          {"min_over_time", "max_over_time"},
                                                          {"avg_over_time", "max_over_time"},
                                                          {"sum_over_time", "avg_over_time"},
                                                          {"last_over_time", "min_over_time"}}};

const std::map<AggregateOp, AggregateOp>& aggregate_changes() {
    static const std::map<AggregateOp, AggregateOp> changes{
        {AggregateOp::sum, AggregateOp::max},     {AggregateOp::avg, AggregateOp::max},
        {AggregateOp::min, AggregateOp::max},     {AggregateOp::max, AggregateOp::min},
        {AggregateOp::count, AggregateOp::sum},   {AggregateOp::topk, AggregateOp::bottomk},
        {AggregateOp::bottomk, AggregateOp::topk}};
    return changes;
}

ExprPtr shared(Expr expr) { return std::make_shared<const Expr>(std::move(expr)); }

Duration half(Duration d) { return std::max(Duration{1}, d / 2); }

class Changes {
  public:
    void visit(const Expr& expr, const Rebuild& rebuild) {
        std::visit([&](const auto& node) { change(expr, node, rebuild); }, expr.node);
    }

    std::vector<ChangedExpr> found;

  private:
    void add(Span at, std::string what, const Rebuild& rebuild, Expr changed) {
        found.push_back({at, std::move(what), rebuild(std::move(changed))});
    }

    // The expression with a node of the same kind, changed by `edit`.
    template <class Node, class Edit>
    void add_edited(const Expr& expr, Span at, std::string what, const Rebuild& rebuild, Edit edit) {
        Expr changed = expr;
        edit(std::get<Node>(changed.node));
        add(at, std::move(what), rebuild, std::move(changed));
    }

    template <class Node> void visit_child(const Expr& expr, ExprPtr Node::* child, const Rebuild& rebuild) {
        const ExprPtr& inner = std::get<Node>(expr.node).*child;
        if (!inner) return;
        visit(*inner, [&](Expr changed) {
            Expr whole = expr;
            std::get<Node>(whole.node).*child = shared(std::move(changed));
            return rebuild(std::move(whole));
        });
    }

    void scale(const Expr& expr, double value, double to, const Rebuild& rebuild) {
        add_edited<NumberLiteral>(expr, expr.at, number_text(value) + " becomes " + number_text(to), rebuild,
                                  [&](NumberLiteral& number) { number.value = to; });
    }

    void change(const Expr& expr, const NumberLiteral& number, const Rebuild& rebuild) {
        if (number.value == 0) return scale(expr, 0, 1, rebuild);
        scale(expr, number.value, number.value * 2, rebuild);
        scale(expr, number.value, number.value / 2, rebuild);
    }

    void change(const Expr&, const StringLiteral&, const Rebuild&) {}

    void change(const Expr& expr, const Selector& selector, const Rebuild& rebuild) {
        if (selector.range) {
            const Duration range = *selector.range;
            for (const Duration to : {range * 2, half(range)})
                add_edited<Selector>(expr, expr.at, "[" + to_text(range) + "] becomes [" + to_text(to) + "]",
                                     rebuild, [&](Selector& s) { s.range = to; });
        }
        if (selector.offset != Duration{0})
            add_edited<Selector>(expr, expr.at, "offset " + to_text(selector.offset) + " is gone", rebuild,
                                 [](Selector& s) { s.offset = Duration{0}; });
        if (selector.metric_name.empty()) return;
        for (std::size_t i = 0; i < selector.matchers.size(); ++i)
            add_edited<Selector>(
                expr, selector.matchers[i].at, "the matcher of " + selector.matchers[i].label + " is gone",
                rebuild,
                [&](Selector& s) { s.matchers.erase(s.matchers.begin() + static_cast<std::ptrdiff_t>(i)); });
    }

    void change(const Expr& expr, const Subquery& subquery, const Rebuild& rebuild) {
        for (const Duration to : {subquery.range * 2, half(subquery.range)})
            add_edited<Subquery>(expr, expr.at,
                                 "[" + to_text(subquery.range) + ":] becomes [" + to_text(to) + ":]", rebuild,
                                 [&](Subquery& s) { s.range = to; });
        visit_child(expr, &Subquery::inner, rebuild);
    }

    void change(const Expr& expr, const Negation& negation, const Rebuild& rebuild) {
        add(expr.at, "the minus is gone", rebuild, *negation.inner);
        visit_child(expr, &Negation::inner, rebuild);
    }

    void change_operator(const Expr& expr, BinaryOp to, const Rebuild& rebuild) {
        const auto& binary = std::get<Binary>(expr.node);
        // The operator itself stands between its operands.
        const Span at{binary.left->at.end(), 0};
        add_edited<Binary>(expr, at, std::string(to_text(binary.op)) + " becomes " + std::string(to_text(to)),
                           rebuild, [&](Binary& b) { b.op = to; });
    }

    void change_set_operator(const Expr& expr, const Binary& binary, const Rebuild& rebuild) {
        const std::string word(to_text(binary.op));
        change_operator(
            expr, binary.op == BinaryOp::logical_and ? BinaryOp::logical_or : BinaryOp::logical_and, rebuild);
        add(binary.right->at, "the right side of " + word + " is gone", rebuild, *binary.left);
        if (binary.op == BinaryOp::logical_or)
            add(binary.left->at, "the left side of or is gone", rebuild, *binary.right);
    }

    void change(const Expr& expr, const Binary& binary, const Rebuild& rebuild) {
        for (const ComparisonChange& row : comparison_changes)
            if (row.from == binary.op) change_operator(expr, row.to, rebuild);
        if (is_set_operator(binary.op)) change_set_operator(expr, binary, rebuild);
        visit_child(expr, &Binary::left, rebuild);
        visit_child(expr, &Binary::right, rebuild);
    }

    void change(const Expr& expr, const Aggregation& aggregation, const Rebuild& rebuild) {
        if (const auto to = aggregate_changes().find(aggregation.op); to != aggregate_changes().end())
            add_edited<Aggregation>(expr, expr.at,
                                    std::string(to_text(aggregation.op)) + " becomes " +
                                        std::string(to_text(to->second)),
                                    rebuild, [&](Aggregation& a) { a.op = to->second; });
        visit_child(expr, &Aggregation::parameter, rebuild);
        visit_child(expr, &Aggregation::operand, rebuild);
    }

    void change(const Expr& expr, const Call& call, const Rebuild& rebuild) {
        change_function(expr, call, rebuild);
        for (std::size_t i = 0; i < call.arguments.size(); ++i)
            visit(*call.arguments[i], [&](Expr changed) {
                Expr whole = expr;
                std::get<Call>(whole.node).arguments[i] = shared(std::move(changed));
                return rebuild(std::move(whole));
            });
    }

    // The canonical text begins with the function's name.
    void change_function(const Expr& expr, const Call& call, const Rebuild& rebuild) {
        const std::string text = promql::to_text(expr);
        const std::size_t end = text.find('(');
        const auto* selector =
            call.arguments.size() == 1 ? std::get_if<Selector>(&call.arguments[0]->node) : nullptr;
        const bool per_second = selector != nullptr && selector->range == second;
        for (const FunctionChange& row : function_changes) {
            if (row.from != text.substr(0, end)) continue;
            const bool counts = row.from == "increase" || row.to == "increase";
            if (counts && per_second) continue; // the same number
            if (auto changed = parse(std::string(row.to) + text.substr(end)))
                add(expr.at, std::string(row.from) + " becomes " + std::string(row.to), rebuild,
                    std::move(*changed));
        }
    }
};

} // namespace

std::vector<ChangedExpr> changes_of(const Expr& expr) {
    Changes changes;
    changes.visit(expr, [](Expr whole) { return whole; });
    return std::move(changes.found);
}

} // namespace homeostat::policy_test
