// Questions and answers as JSON: what goes over the control socket, and what --json prints.
#pragma once

#include "engine/questions.hpp"
#include "knowledge/error.hpp"

#include <boost/json/object.hpp>

namespace homeostat::cli {

// Of Question::newest.
inline constexpr std::size_t newest_max = 1'000'000;

boost::json::object question_json(const Question& question);
// Fails on what is no question, saying what was expected.
Result<Question> read_question(const boost::json::object& object);

// With the answer in plain words as "text".
boost::json::object answer_json(const Answer& answer);

} // namespace homeostat::cli
