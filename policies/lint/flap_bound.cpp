#include "policies/lint/flap_bound.hpp"

#include "policies/gates.hpp"
#include "policies/lint/warning.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <set>

namespace homeostat {

namespace {

using promql::ResultLabels;

constexpr Duration hour = std::chrono::hours{1};
constexpr std::uint64_t changes_warned_of = 360;

struct Limit {
    std::uint64_t count; // in an hour
    std::string because;
};

const Limit& least(const Limit& a, const Limit& b) { return b.count < a.count ? b : a; }

// How often something that takes so long can begin within the window.
std::uint64_t beginnings(Duration cycle, Duration window = hour) {
    const auto ms = std::max<Duration::rep>(cycle.count(), 1);
    return static_cast<std::uint64_t>((window.count() + ms - 1) / ms);
}

std::string times(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " time" : " times"); }

// How many keys there can be of these labels, other than `fixed`; none where nothing limits them.
std::optional<std::uint64_t> keys_of_shape(const ResultLabels& key, const std::set<std::string>& fixed) {
    if (key.open) return std::nullopt;
    constexpr std::uint64_t many = 1'000'000;
    std::uint64_t count = 1;
    for (const auto& [name, range] : key.labels) {
        if (fixed.contains(name)) continue;
        if (!range.values || range.also_numbers) return std::nullopt;
        count *= range.values->size() + (range.always ? 0 : 1);
        if (count > many) return std::nullopt;
    }
    return count;
}

// Others can take it away, or keep it away, while its symptoms stand.
bool is_barred(const AdaptationRule& rule, const PolicySet& policies) {
    return traits(Gate::requirements).is_asked(rule, policies.adaptations) ||
           traits(Gate::inhibits).is_asked(rule, policies.adaptations);
}

// How long it surely stays, once applied.
Duration sure_hold(const AdaptationRule& rule, const PolicySet& policies) {
    return is_barred(rule, policies) ? Duration{0} : rule.min_hold;
}

std::string hold_text(const AdaptationRule& rule) { return "min_hold " + to_text(rule.min_hold); }

// One adaptation, with what limits how often it is applied.
class Applications {
  public:
    Applications(const AdaptationRule& rule, const PolicySet& policies, const promql::Schema& schema,
                 const FlapLimits& limits)
        : rule_(rule), policies_(policies), schema_(schema), limits_(limits),
          keys_(keys_of(rule, policies, schema)) {}

    // To a target that the labels in `fixed` name.
    Limit on_target(const std::set<std::string>& fixed) const {
        Limit least_of = by_instances(fixed);
        if (rule_.budget) {
            const std::uint64_t windows = beginnings(rule_.budget->window);
            least_of = least(least_of,
                             {windows * rule_.budget->count, "budget " + std::to_string(rule_.budget->count) +
                                                                 "/" + to_text(rule_.budget->window)});
        }
        if (rule_.max_active && hold() > Duration{0})
            least_of = least(least_of,
                             {*rule_.max_active * beginnings(hold()),
                              "max_active " + std::to_string(*rule_.max_active) + ", " + hold_text(rule_)});
        return least_of;
    }

    // How many instances there are is not known where their labels are not.
    bool is_countable() const { return std::ranges::none_of(keys_, &ResultLabels::open); }
    std::uint64_t by_one_instance() const { return by_gates().count; }

    // The gates of its instances allow no more than the budget does.
    bool has_idle_budget() const {
        const std::uint64_t count = rule_.budget ? key_count({}) : 0;
        return count > 0 && count * by_gates(rule_.budget->window).count <= rule_.budget->count;
    }

  private:
    // Of an instance by its gates alone.
    Limit by_gates(Duration window = hour) const {
        ShortestCycle cycle = shortest_cycle(rule_, policies_, limits_.tick);
        return {beginnings(cycle.time, window), std::move(cycle.because)};
    }

    Duration hold() const { return sure_hold(rule_, policies_); }

    // 0 where nothing limits them.
    std::uint64_t key_count(const std::set<std::string>& fixed) const {
        std::uint64_t count = 0;
        for (const ResultLabels& key : keys_) {
            const auto more = keys_of_shape(key, fixed);
            if (!more) return 0;
            count += *more;
        }
        return count;
    }

    Limit by_instances(const std::set<std::string>& fixed) const {
        const std::uint64_t count = key_count(fixed);
        Limit each = by_gates();
        const auto most = static_cast<std::uint64_t>(limits_.instances_per_adaptation_max);
        // Keys come and go without limit, but their places are limited, and each is held as its gates say.
        if (count == 0 || count > most)
            return {each.count * most, "up to " + std::to_string(most) + " instances, " + each.because};
        if (const auto limit = by_symptoms()) each = least(each, *limit);
        if (const auto limit = by_damping()) each = least(each, *limit);
        if (count == 1) return each;
        return {each.count * count, std::to_string(count) + " instances, " + each.because};
    }

    // How often the condition can become true for one key. Each change of one of its symptoms can make it so.
    // Where the overlay can go while the condition stands, that is no limit; nor where several instances of a
    // symptom agree with one key, since one may be raised when the other ends.
    std::optional<Limit> by_symptoms() const {
        if (is_barred(rule_, policies_) || (rule_.verify && rule_.verify->rollback)) return std::nullopt;
        std::set<std::string> names;
        for (const auto& [name, offset] : symptoms_of(rule_.when)) names.insert(name);
        Limit sum{1, ""}; // it may be true already when the hour begins
        for (const std::string& name : names) {
            const Symptom* symptom = find_symptom(policies_, name);
            if (symptom == nullptr || !is_one_for_each_key(key_of(*symptom, schema_))) return std::nullopt;
            const SymptomTiming& timing = symptom->rule.timing;
            const Duration lasting = timing.for_ + std::min(timing.keep, timing.forget);
            if (lasting == Duration{0}) return std::nullopt;
            sum.count += beginnings(std::max(lasting, 2 * limits_.tick));
            sum.because += (sum.because.empty() ? "" : " and ") + name + " with for " + to_text(timing.for_) +
                           ", keep " + to_text(timing.keep);
        }
        return sum;
    }

    bool is_one_for_each_key(const ResultLabels& symptom) const {
        return !symptom.open && std::ranges::all_of(symptom.labels, [&](const auto& label) {
            return std::ranges::all_of(keys_,
                                       [&](const ResultLabels& key) { return key.always_has(label.first); });
        });
    }

    // Each application adds to a penalty that stays below `suppress` and one application; what is added in an
    // hour is what decays in it, and what is left at its end. An instance is forgotten, and with it what is
    // left of its penalty, see Damping::forgotten_below.
    std::optional<Limit> by_damping() const {
        if (!rule_.damp) return std::nullopt;
        const double forgotten = rule_.damp->forgotten_below();
        const double half_lives =
            static_cast<double>(hour.count()) / static_cast<double>(rule_.damp->half_life.count());
        const double highest = static_cast<double>(rule_.damp->suppress) + Damping::penalty;
        const double resets = 1 + half_lives / std::log2(Damping::penalty / forgotten);
        const double added = highest * (1 + std::numbers::ln2 * half_lives) + resets * forgotten;
        constexpr double most = 1e15;
        return Limit{static_cast<std::uint64_t>(std::min(added / Damping::penalty, most)), "damp"};
    }

    const AdaptationRule& rule_;
    const PolicySet& policies_;
    const promql::Schema& schema_;
    const FlapLimits& limits_;
    std::vector<ResultLabels> keys_;
};

// Whether what is written can name the interface.
bool can_name(const Template& written, const std::string& interface, const std::vector<ResultLabels>& keys) {
    if (written.labels().empty()) return to_text(written) == interface;
    if (written.parts.size() != 1) return true;
    return std::ranges::any_of(keys, [&](const ResultLabels& key) {
        return !key.never_has(written.parts.front().text) &&
               key.range(written.parts.front().text).can_be(interface);
    });
}

// What the rule writes for this target, and the labels that are the same in all of it.
struct Reach {
    std::set<std::string> written;
    std::set<std::string> fixed;
};

std::optional<Reach> reach_of(const AdaptationRule& rule, const std::string& target, bool is_interface,
                              const std::vector<ResultLabels>& keys) {
    std::optional<Reach> reach;
    for (const OverlaySetting& setting : rule.settings) {
        const std::string text = to_text(setting.interface);
        if (is_interface ? !can_name(setting.interface, target, keys) : text != target) continue;
        const std::vector<std::string> labels = setting.interface.labels();
        // Of a name with several parts, several values may make the same interface.
        std::set<std::string> fixed;
        if (setting.interface.parts.size() == 1) fixed.insert(labels.begin(), labels.end());
        if (!reach) {
            reach = Reach{{text}, std::move(fixed)};
            continue;
        }
        reach->written.insert(text);
        if (fixed != reach->fixed) reach->fixed.clear();
    }
    return reach;
}

std::vector<std::string> targets_of(const PolicySet& policies, const FlapLimits& limits) {
    std::set<std::string> targets(limits.interfaces.begin(), limits.interfaces.end());
    if (targets.empty())
        for (const AdaptationRule& rule : policies.adaptations)
            for (const OverlaySetting& setting : rule.settings) targets.insert(to_text(setting.interface));
    return {targets.begin(), targets.end()};
}

} // namespace

ShortestCycle shortest_cycle(const AdaptationRule& rule, const PolicySet& policies, Duration tick) {
    const Duration hold = sure_hold(rule, policies);
    const Duration lasting = hold + rule.cooldown;
    ShortestCycle cycle{std::max(lasting, 2 * tick), "two ticks of " + to_text(tick) + " for each"};
    if (lasting >= 2 * tick)
        cycle.because = hold == Duration{0} ? "cooldown " + to_text(rule.cooldown)
                        : rule.cooldown == Duration{0}
                            ? hold_text(rule)
                            : hold_text(rule) + ", cooldown " + to_text(rule.cooldown);
    if (!rule.verify || !rule.verify->rollback) return cycle;
    const Duration failing =
        std::max(rule.verify->within + std::max(rule.verify->backoff, rule.cooldown), tick);
    if (failing < cycle.time)
        cycle = {failing, "verify.within " + to_text(rule.verify->within) + ", backoff " +
                              to_text(rule.verify->backoff)};
    return cycle;
}

std::vector<FlapBound> flap_bounds(const PolicySet& policies, const promql::Schema& schema,
                                   const FlapLimits& limits) {
    constexpr std::uint64_t minutes = 60;
    const std::uint64_t most = 2 * minutes * limits.changes_per_minute_max;
    const std::string most_because =
        "changes_per_minute_max " + std::to_string(limits.changes_per_minute_max);
    std::vector<FlapBound> bounds;
    for (const std::string& target : targets_of(policies, limits)) {
        FlapBound bound;
        bound.target = target;
        std::set<std::string> written;
        for (const AdaptationRule& rule : policies.adaptations) {
            if (rule.enforcement != Enforcement::enforce) continue;
            const auto reach =
                reach_of(rule, target, !limits.interfaces.empty(), keys_of(rule, policies, schema));
            if (!reach) continue;
            const Limit limit = Applications(rule, policies, schema, limits).on_target(reach->fixed);
            FlapShare share{rule.name.text, 2 * limit.count, limit.because + ", each applied and removed"};
            if (share.changes > most) share = {rule.name.text, most, most_because + ", " + share.because};
            bound.changes += share.changes;
            bound.shares.push_back(std::move(share));
            written.insert(reach->written.begin(), reach->written.end());
        }
        if (bound.shares.empty()) continue;
        if (bound.changes > most) {
            bound.changes = most;
            bound.because = most_because;
        }
        for (const std::string& text : written)
            bound.written += (bound.written.empty() ? "" : " and ") + text;
        bounds.push_back(std::move(bound));
    }
    return bounds;
}

std::string to_text(const FlapBound& bound) {
    std::string shares;
    for (const FlapShare& share : bound.shares) {
        shares += (shares.empty() ? "" : "; ") + share.adaptation + ": ";
        if (bound.shares.size() > 1) shares += std::to_string(share.changes) + " by ";
        shares += share.because;
    }
    if (!bound.because.empty() && bound.shares.size() > 1) shares = bound.because + "; " + shares;
    const std::string written = bound.written == bound.target ? "" : " (" + bound.written + ")";
    return bound.target + written + ": at most " + std::to_string(bound.changes) +
           (bound.changes == 1 ? " change an hour (" : " changes an hour (") + shares + ")";
}

void warn_of_flapping(const PolicySet& policies, const promql::Schema& schema, const FlapLimits& limits,
                      const std::vector<FlapBound>& bounds, Diagnostics& diagnostics) {
    for (const AdaptationRule& rule : policies.adaptations) {
        const Applications applications(rule, policies, schema, limits);
        if (applications.has_idle_budget())
            diagnostics.push_back(warning("budget-never-binds", rule.name, 0,
                                          "the budget of '" + rule.name.text +
                                              "' is never used up: its min_hold and cooldown allow less",
                                          "remove it, or let it be smaller"));
        // Its gates may well do: with a configuration, more can be said.
        if (!applications.is_countable() && 2 * applications.by_one_instance() <= changes_warned_of) continue;
        const FlapBound* worst = nullptr;
        std::uint64_t changes = changes_warned_of;
        for (const FlapBound& bound : bounds)
            for (const FlapShare& share : bound.shares)
                if (share.adaptation == rule.name.text && share.changes > changes) {
                    changes = share.changes;
                    worst = &bound;
                }
        if (worst != nullptr)
            diagnostics.push_back(warning("undamped", rule.name, 0,
                                          "'" + rule.name.text + "' may change " + worst->target + " " +
                                              times(changes) + " an hour",
                                          "give it a min_hold, a cooldown, a budget or damp"));
    }
}

} // namespace homeostat
