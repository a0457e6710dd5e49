#include "adapters/control/client.hpp"

#include "adapters/control/protocol.hpp"
#include "adapters/control/socket_file.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <sys/socket.h>
#include <unistd.h>

namespace homeostat::control {

namespace json = boost::json;

namespace {

// A connection that is closed at the end.
class Connection {
  public:
    Connection(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(descriptor_); }

    Result<void> send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0) return failed("send to", errno);
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return {};
    }

    Result<json::object> receive() {
        std::size_t end = 0;
        while ((end = text_.find('\n')) == std::string::npos) {
            std::array<char, 65'536> part{};
            const ssize_t got = ::recv(descriptor_, part.data(), part.size(), 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return failed("receive from", errno);
            if (got == 0) return failure("the controller at " + path_ + " hung up without an answer");
            text_.append(part.data(), static_cast<std::size_t>(got));
            if (text_.size() > ServerLimits{}.answer_bytes_max + 1)
                return failure("the answer from " + path_ + " is too long: is a controller there?");
        }
        boost::system::error_code error;
        json::value value = json::parse(std::string_view(text_).substr(0, end), error);
        text_.erase(0, end + 1);
        if (error || !value.is_object())
            return failure("what answers at " + path_ + " is no controller: it does not speak JSON lines");
        return std::move(value.as_object());
    }

  private:
    std::unexpected<Error> failed(const std::string& what, int number) const {
        const bool is_late = number == EAGAIN || number == EWOULDBLOCK;
        return failure(what + " the controller at " + path_ + ": " +
                           (is_late ? "it does not answer in time" : std::strerror(number)),
                       number);
    }

    int descriptor_;
    std::string path_;
    std::string text_;
};

// What the object says has gone wrong; none where it is an answer or a greeting.
std::optional<Error> told_error(const json::object& object) {
    const json::value* error = object.if_contains("error");
    if (error == nullptr) return std::nullopt;
    const json::value* what = error->is_object() ? error->as_object().if_contains("what") : nullptr;
    return Error{what != nullptr && what->is_string() ? std::string(what->as_string())
                                                      : json::serialize(*error)};
}

Result<void> check_greeting(const Result<json::object>& greeting, const std::string& path) {
    if (!greeting) return std::unexpected(greeting.error());
    if (const auto error = told_error(*greeting)) return std::unexpected(*error);
    const json::value* version = greeting->if_contains("protocol");
    if (version != nullptr && *version == protocol_version) return {};
    return failure("the controller at " + path + " speaks protocol " +
                   (version != nullptr ? json::serialize(*version) : "?") + ", this command protocol " +
                   std::to_string(protocol_version) + "; use the homeostat that it was installed with");
}

} // namespace

Result<json::object> ask(const std::string& path, json::object request, std::chrono::milliseconds patience) {
    const auto descriptor = connect_to(path, patience);
    if (!descriptor) return std::unexpected(descriptor.error());
    Connection connection(*descriptor, path);
    if (auto welcome = check_greeting(connection.receive(), path); !welcome)
        return std::unexpected(welcome.error());
    request["id"] = 1;
    request["protocol"] = protocol_version;
    if (auto sent = connection.send(json::serialize(request) + "\n"); !sent)
        return std::unexpected(sent.error());
    auto reply = connection.receive();
    if (!reply) return reply;
    if (const auto error = told_error(*reply)) return std::unexpected(*error);
    json::value* answer = reply->if_contains("answer");
    if (answer == nullptr || !answer->is_object())
        return failure("the reply from " + path + " has no answer in it");
    return std::move(answer->as_object());
}

std::vector<std::string> answering_sockets(const std::string& folder) {
    constexpr std::chrono::seconds patience{1};
    std::vector<std::string> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
        if (!it->path().string().ends_with(".sock")) continue;
        const auto descriptor = connect_to(it->path().string(), patience);
        if (!descriptor) continue;
        ::close(*descriptor);
        paths.push_back(it->path().string());
    }
    std::ranges::sort(paths);
    return paths;
}

} // namespace homeostat::control
