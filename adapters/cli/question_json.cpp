#include "adapters/cli/question_json.hpp"

#include "knowledge/text.hpp"

#include <boost/json.hpp>

namespace homeostat::cli {

namespace json = boost::json;

namespace {

// A thousand years: no time that anybody means is farther away.
constexpr std::int64_t ms_max = 31'556'952'000'000;

json::value moment_json(const std::optional<Moment>& moment) {
    if (!moment) return nullptr;
    if (const auto* time = std::get_if<Instant>(&*moment)) return json::object{{"time_ms", to_ms(*time)}};
    return json::object{{"ago_ms", std::get<Duration>(*moment).count()}};
}

// Reads one object; the first mistake stays.
class Reader {
  public:
    explicit Reader(const json::object& object) : object_(object) {}

    std::string text(std::string_view key) {
        const json::value* value = find(key);
        if (value == nullptr) return "";
        if (value->is_string()) return std::string(value->as_string());
        return mistake(key, "a string"), "";
    }

    std::optional<std::int64_t> integer(std::string_view key, std::int64_t max) {
        const json::value* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (value->is_int64() && value->as_int64() >= 0 && value->as_int64() <= max) return value->as_int64();
        return mistake(key, "a whole number from 0 to " + std::to_string(max)), std::nullopt;
    }

    std::optional<Moment> moment(std::string_view key) {
        const json::value* value = find(key);
        if (value == nullptr) return std::nullopt;
        constexpr std::string_view expected = R"({"time_ms":…} or {"ago_ms":…})";
        if (!value->is_object()) return mistake(key, expected), std::nullopt;
        Reader inner(value->as_object());
        const auto time = inner.integer("time_ms", ms_max);
        const auto ago = inner.integer("ago_ms", ms_max);
        if (time.has_value() == ago.has_value() || inner.mistake_)
            return mistake(key, expected), std::nullopt;
        return time ? Moment(at_ms(*time)) : Moment(Duration{*ago});
    }

    void mistake(std::string_view key, std::string_view expected) {
        if (!mistake_)
            mistake_ =
                Error{"'" + std::string(key) + "' is not understood; expected " + std::string(expected)};
    }
    const std::optional<Error>& mistake() const { return mistake_; }

  private:
    const json::value* find(std::string_view key) const {
        const json::value* value = object_.if_contains(key);
        return value != nullptr && value->is_null() ? nullptr : value;
    }

    const json::object& object_;
    std::optional<Error> mistake_;
};

} // namespace

json::object question_json(const Question& question) {
    return {{"ask", to_text(question.kind)},  {"text", question.text},
            {"at", moment_json(question.at)}, {"only", question.only},
            {"newest", question.newest},      {"since", moment_json(question.since)}};
}

Result<Question> read_question(const json::object& object) {
    Reader reader(object);
    Question question;
    const std::string kind = reader.text("ask");
    if (const auto known = parse_question_kind(kind)) {
        question.kind = *known;
    } else {
        const std::vector<std::string> names = question_names();
        const std::string meant = nearest(kind, names);
        reader.mistake("ask", meant.empty() ? joined(names) : meant);
    }
    question.text = reader.text("text");
    question.at = reader.moment("at");
    question.only = reader.text("only");
    question.since = reader.moment("since");
    if (const auto newest = reader.integer("newest", newest_max))
        question.newest = static_cast<std::size_t>(*newest);
    if (reader.mistake()) return std::unexpected(*reader.mistake());
    return question;
}

} // namespace homeostat::cli
