// The server's end of the control socket. It lives on the loop's thread and never holds it up: of each client
// one request is in work at a time, an answer is written as its reader takes it, and who does not take it is
// dropped.
#pragma once

#include "adapters/control/protocol.hpp"
#include "engine/service.hpp"
#include "engine/tick.hpp"
#include "knowledge/error.hpp"

#include <boost/json/object.hpp>

#include <expected>
#include <functional>
#include <memory>
#include <string>

namespace homeostat::control {

// Answers a request, or says why not. Called on the loop's thread; its cost must be bounded.
using Reply = std::expected<boost::json::object, Refusal>;
using AskFunction = std::function<Reply(const EngineState& state, const boost::json::object& request)>;

// Carries a command out, and replies when its outcome is there, at once or later; both on the loop's thread.
// A request with a member "command" is one.
using CommandFunction = std::function<void(const EngineState& state, const boost::json::object& request,
                                           std::function<void(Reply)> reply)>;

class Server final : public Service {
  public:
    // Binds and listens: clients wait from here on. A socket file that nobody answers on is replaced; one
    // that somebody answers on, or a file of another kind, is a failure. The file has mode 0600; folders of
    // the path that are missing are made with mode 0700. Only root and this process's own user are answered.
    static Result<std::unique_ptr<Server>> open(const std::string& path, std::string name, AskFunction ask,
                                                ServerLimits limits = {}, CommandFunction command = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() override; // removes the file, if it is still its own

    void start(boost::asio::io_context& context, const EngineState& state) override;
    void stop() override;

  private:
    struct Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace homeostat::control
