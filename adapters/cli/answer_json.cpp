// Answers as JSON, and in plain words.
#include "adapters/cli/decision_json.hpp"
#include "adapters/cli/question_json.hpp"
#include "adapters/cli/report.hpp"
#include "knowledge/overloaded.hpp"
#include "policies/template.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace homeostat::cli {

namespace json = boost::json;

namespace {

json::object decided_json(const Decided& decided) {
    json::object object{
        {"number", decided.number}, {"time", seconds_json(decided.at)}, {"generation", decided.generation}};
    const auto add = [&](std::string_view type, json::object body) {
        object["type"] = type;
        for (auto& [key, value] : body) object[key] = std::move(value);
    };
    std::visit(
        Overloaded{[&](const SymptomChange& change) { add("symptom", symptom_json(change)); },
                   [&](const Receipt& receipt) { add("receipt", receipt_json(receipt)); },
                   [&](const PlannedTransaction& planned) { add("transaction", transaction_json(planned)); },
                   [&](const Outcome& outcome) { add("outcome", outcome_json(outcome)); },
                   [&](const std::string& message) { add("message", {{"text", message}}); }},
        decided.what);
    return object;
}

// An answer's rows, for machines and for people.
struct Rendered {
    json::object object;
    std::string text;

    void line(const std::string& line) { text += line + "\n"; }
};

void render_value(double value, Rendered& out) {
    out.object["type"] = "scalar";
    out.object["value"] = number(value);
    out.line(number_text(value));
}

void render_value(const std::string& value, Rendered& out) {
    out.object["type"] = "string";
    out.object["value"] = value;
    out.line(value);
}

void render_value(const promql::Vector& vector, Rendered& out) {
    out.object["type"] = "vector";
    json::array rows;
    for (const promql::Sample& sample : vector) {
        rows.push_back({{"labels", labels_json(sample.labels)}, {"value", number(sample.value)}});
        out.line(to_text(sample.labels) + " = " + number_text(sample.value));
    }
    out.object["value"] = std::move(rows);
    if (vector.empty()) out.line("no samples");
}

void render_value(const std::vector<SeriesSamples>& series, Rendered& out) {
    out.object["type"] = "matrix";
    json::array rows;
    for (const SeriesSamples& one : series) {
        json::array points;
        out.line(to_text(one.labels));
        for (const Point& point : one.points) {
            points.push_back(json::array{seconds_json(point.time), number(point.value)});
            out.line("  " + to_text(point.time) + "  " + number_text(point.value));
        }
        rows.push_back({{"labels", labels_json(one.labels)}, {"points", std::move(points)}});
    }
    out.object["value"] = std::move(rows);
    if (series.empty()) out.line("no samples");
}

void render(const Evaluation& evaluation, Rendered& out) {
    out.object["at"] = seconds_json(evaluation.at);
    std::visit([&](const auto& value) { render_value(value, out); }, evaluation.value);
}

void render(const std::vector<Explanation>& explanations, Rendered& out) {
    json::array rows;
    for (const Explanation& explanation : explanations) {
        json::array carried_out;
        for (const Decided& decided : explanation.carried_out) carried_out.push_back(decided_json(decided));
        rows.push_back(
            {{"decision", decided_json(explanation.decided)}, {"carried_out", std::move(carried_out)}});
        for (const std::string& line : explanation.lines) out.line(line);
    }
    out.object["explanations"] = std::move(rows);
}

void render(const std::vector<WhyNot>& answers, Rendered& out) {
    json::array rows;
    for (const WhyNot& why : answers) {
        rows.push_back({{"name", why.name},
                        {"labels", labels_json(why.key)},
                        {"blocker", why.blocker},
                        {"gate", why.gate},
                        {"lines", json::value_from(why.lines)}});
        for (std::size_t i = 0; i < why.lines.size(); ++i) out.line((i == 0 ? "" : "  ") + why.lines[i]);
    }
    out.object["instances"] = std::move(rows);
}

std::string padded(const std::string& name, const Labels& key) {
    return fmt::format("{:<40} ", key.empty() ? name : name + to_text(key));
}

void render(const std::vector<SymptomRow>& symptoms, Rendered& out) {
    json::array rows;
    for (const SymptomRow& row : symptoms) {
        json::object object{{"symptom", row.name},
                            {"labels", labels_json(row.key)},
                            {"state", to_text(row.state)},
                            {"since", nullptr},
                            {"value", nullptr},
                            {"error", row.error}};
        std::string text = padded(row.name, row.key) + fmt::format("{:<8}", to_text(row.state));
        if (row.since) {
            object["since"] = seconds_json(*row.since);
            object["value"] = number(row.value);
            text += "  since " + to_text(*row.since) + "  value " + number_text(row.value);
        }
        if (!row.error.empty()) text += "  cannot be evaluated: " + row.error;
        rows.push_back(std::move(object));
        out.line(text);
    }
    out.object["symptoms"] = std::move(rows);
    if (symptoms.empty()) out.line("no symptoms");
}

void render(const std::vector<Decided>& decisions, Rendered& out) {
    json::array rows;
    for (const Decided& decided : decisions) {
        rows.push_back(decided_json(decided));
        out.line(to_text(decided.at) + " " + log_line(decided).text);
    }
    out.object["decisions"] = std::move(rows);
    if (decisions.empty()) out.line("no decisions");
}

void render(const std::vector<SignalRow>& signals, Rendered& out) {
    json::array rows;
    for (const SignalRow& row : signals) {
        rows.push_back({{"signal", row.name},
                        {"labels", labels_json(row.key)},
                        {"value", row.point ? number(row.point->value) : json::value()},
                        {"time", row.point ? json::value(seconds_json(row.point->time)) : json::value()},
                        {"error", row.error}});
        std::string text =
            padded(row.name, row.key) + (row.point ? number_text(row.point->value) : "no samples");
        if (!row.error.empty()) text += "  cannot be evaluated: " + row.error;
        out.line(text);
    }
    out.object["signals"] = std::move(rows);
    if (signals.empty()) out.line("no signals");
}

} // namespace

json::object answer_json(const Answer& answer) {
    Rendered out;
    out.object = {{"time", seconds_json(answer.at)}, {"generation", answer.generation}};
    std::visit([&](const auto& what) { render(what, out); }, answer.what);
    out.object["notes"] = json::value_from(answer.notes);
    out.object["left_out"] = answer.left_out;
    if (answer.left_out > 0) out.line("and " + std::to_string(answer.left_out) + " more");
    for (const std::string& note : answer.notes) out.line("note: " + note);
    out.object["text"] = out.text;
    return std::move(out.object);
}

} // namespace homeostat::cli
