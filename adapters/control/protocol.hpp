// The protocol of the control socket. One JSON object per line, either way:
//   server  {"protocol":1,"server":"homeostat 0.1.0"}                     at once
//   client  {"id":1,"protocol":1,"ask":"symptoms", …}                     any number, one after another
//   server  {"id":1,"answer":{…}}  or  {"id":1,"error":{"code":"…","what":"…"}}
// The codes are those of error_codes. Who is silent for too long, or does not take an answer in time, is hung
// up on without a word.
#pragma once

#include "knowledge/enum_table.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace homeostat::control {

inline constexpr int protocol_version = 1;

enum class Refused { protocol, request, question, limit, denied };

struct ErrorCode {
    Refused kind{};
    std::string_view code;
    bool closes = false; // the server hangs up after it
};
inline constexpr std::array<ErrorCode, 5> error_codes{{
    {Refused::protocol, "protocol", true},  // another version is spoken
    {Refused::request, "request", false},   // what was sent is not understood
    {Refused::question, "question", false}, // it is understood, and cannot be answered
    {Refused::limit, "limit", true},        // a request or an answer is too long; there are too many clients
    {Refused::denied, "denied", true},      // to this user
}};
static_assert(has_row_for_each(error_codes, &ErrorCode::kind, Refused::denied));

struct Refusal {
    Refused kind{};
    std::string what;
};

struct ServerLimits {
    std::size_t connections_max = 16;
    std::size_t request_bytes_max = std::size_t{64} * 1024;      // of one line
    std::size_t answer_bytes_max = std::size_t{4} * 1024 * 1024; // of one line
    std::chrono::milliseconds idle_max{60'000};                  // between two requests, or within one
    std::chrono::milliseconds unread_max{5'000};                 // until an answer is taken
};

} // namespace homeostat::control
