// Decisions and what they are made of, as JSON.
#pragma once

#include "knowledge/receipt.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace homeostat::cli {

// JSON knows no NaN and no infinity: those become text, as in Prometheus's API.
boost::json::value number(double value);
boost::json::object labels_json(const Labels& labels);
double seconds_json(Instant time); // since the epoch

boost::json::object symptom_json(const SymptomChange& change);
boost::json::object receipt_json(const Receipt& receipt);
boost::json::object transaction_json(const PlannedTransaction& planned);
boost::json::object outcome_json(const Outcome& outcome);

} // namespace homeostat::cli
