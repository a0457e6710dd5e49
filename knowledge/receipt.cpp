#include "knowledge/receipt.hpp"

namespace homeostat {

std::string_view to_text(Truth truth) {
    switch (truth) {
    case Truth::no:
        return "no";
    case Truth::yes:
        return "yes";
    case Truth::missing:
        return "missing";
    }
    return "?";
}

std::string_view to_text(SymptomState state) {
    switch (state) {
    case SymptomState::inactive:
        return "inactive";
    case SymptomState::pending:
        return "pending";
    case SymptomState::raised:
        return "raised";
    case SymptomState::clearing:
        return "clearing";
    }
    return "?";
}

std::string_view to_text(Enforcement enforcement) {
    switch (enforcement) {
    case Enforcement::off:
        return "off";
    case Enforcement::shadow:
        return "shadow";
    case Enforcement::enforce:
        return "enforce";
    }
    return "?";
}

std::string_view to_text(Receipt::Action action) {
    switch (action) {
    case Receipt::Action::apply:
        return "apply";
    case Receipt::Action::remove:
        return "remove";
    case Receipt::Action::wait:
        return "wait";
    case Receipt::Action::arbitrate:
        return "arbitrate";
    case Receipt::Action::verify:
        return "verify";
    case Receipt::Action::rollback:
        return "rollback";
    }
    return "?";
}

} // namespace homeostat
