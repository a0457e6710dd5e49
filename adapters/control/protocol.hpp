// The protocol of the control socket. One JSON object per line, either way:
//   server  {"protocol":1,"server":"homeostat 0.1.0"}                     at once
//   client  {"id":1,"protocol":1,"ask":"symptoms", …}                     any number, one after another
//   server  {"id":1,"answer":{…}}  or  {"id":1,"error":{"code":"…","what":"…"}}
// Codes: protocol (another version is spoken), request (not understood), question (cannot be answered), limit
// (too long, too large, too many, too slow), denied. After protocol, limit and denied the server closes.
#pragma once

#include <chrono>
#include <cstddef>

namespace homeostat::control {

inline constexpr int protocol_version = 1;

struct ServerLimits {
    std::size_t connections_max = 16;
    std::size_t request_bytes_max = std::size_t{64} * 1024;      // of one line
    std::size_t answer_bytes_max = std::size_t{4} * 1024 * 1024; // of one line
    std::chrono::milliseconds idle_max{60'000};                  // between two requests, or within one
    std::chrono::milliseconds unread_max{5'000};                 // until an answer is taken
};

} // namespace homeostat::control
