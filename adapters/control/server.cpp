#include "adapters/control/server.hpp"

#include "adapters/control/socket_file.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <optional>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace homeostat::control {

namespace asio = boost::asio;
namespace json = boost::json;
using Protocol = asio::local::stream_protocol;
using AsioError = boost::system::error_code;

namespace {

// A client can nest as deep as it likes, our stack cannot.
constexpr std::size_t depth_max = 16;

const ErrorCode& row_of(Refused kind) { return error_codes[static_cast<std::size_t>(kind)]; }

json::object error_object(const json::value& id, const Refusal& refusal) {
    return {{"id", id}, {"error", {{"code", row_of(refusal.kind).code}, {"what", refusal.what}}}};
}

bool may_ask(Protocol::socket& socket) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

// One client. It keeps itself alive by its handlers; close() ends them all.
class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(Protocol::socket socket, const AskFunction& ask, const CommandFunction& command,
            const EngineState& state, const ServerLimits& limits)
        : socket_(std::move(socket)), timer_(socket_.get_executor()), ask_(ask), command_(command),
          state_(state), limits_(limits), buffer_(limits.request_bytes_max) {}

    void greet(const std::string& name) { write({{"protocol", protocol_version}, {"server", name}}, false); }

    void refuse(const Refusal& refusal, const json::value& id = nullptr) {
        write(error_object(id, refusal), row_of(refusal.kind).closes);
    }

    void close() {
        timer_.cancel();
        AsioError ignored;
        (void)socket_.close(ignored);
    }

    bool is_open() const { return socket_.is_open(); }

  private:
    void read() {
        expire_after(limits_.idle_max);
        asio::async_read_until(socket_, buffer_, '\n',
                               [self = shared_from_this()](const AsioError& error, std::size_t bytes) {
                                   self->took(error, bytes);
                               });
    }

    void took(const AsioError& error, std::size_t bytes) {
        if (!socket_.is_open()) return;
        if (error == asio::error::not_found)
            return refuse({Refused::limit, "a request is longer than " +
                                               std::to_string(limits_.request_bytes_max) + " bytes"});
        if (error) return close();
        const auto data = buffer_.data(); // what the iterator refers to
        const auto begin = asio::buffers_begin(data);
        const std::string line(begin, begin + static_cast<std::ptrdiff_t>(bytes) - 1);
        buffer_.consume(bytes);
        json::value id;
        const auto request = read_request(line, id);
        if (!request) return refuse(request.error(), id);
        if (!command_ || !request->contains("command")) return answer(ask_(state_, *request), id);
        // Nothing is read meanwhile; the answer must come before the client would be idle for too long.
        expire_after(limits_.idle_max);
        command_(state_, *request, [self = weak_from_this(), id](Reply reply) {
            const auto there = self.lock();
            if (there && there->is_open()) there->answer(std::move(reply), id);
        });
    }

    void answer(Reply reply, const json::value& id) {
        if (reply)
            write({{"id", id}, {"answer", std::move(*reply)}}, false);
        else
            refuse(reply.error(), id);
    }

    static Reply read_request(const std::string& line, json::value& id) {
        json::parse_options options;
        options.max_depth = depth_max;
        AsioError error;
        const json::value value = json::parse(line, error, {}, options);
        const json::object* request = error ? nullptr : value.if_object();
        if (request == nullptr)
            return std::unexpected(Refusal{Refused::request, "expected one JSON object on a line"});
        if (const json::value* given = request->if_contains("id")) id = *given;
        const json::value* version = request->if_contains("protocol");
        if (version == nullptr || *version != protocol_version)
            return std::unexpected(Refusal{
                Refused::protocol, "this controller speaks protocol " + std::to_string(protocol_version) +
                                       "; use the homeostat that it was installed with"});
        return *request;
    }

    void write(json::object reply, bool is_last) {
        out_ = json::serialize(reply);
        if (out_.size() > limits_.answer_bytes_max) {
            const Refusal refusal{Refused::limit, "the answer is longer than " +
                                                      std::to_string(limits_.answer_bytes_max) +
                                                      " bytes; ask for less"};
            out_ = json::serialize(error_object(reply["id"], refusal));
            is_last = row_of(refusal.kind).closes;
        }
        out_ += '\n';
        expire_after(limits_.unread_max);
        asio::async_write(socket_, asio::buffer(out_),
                          [self = shared_from_this(), is_last](const AsioError& error, std::size_t) {
                              if (!self->socket_.is_open()) return;
                              if (error || is_last) return self->close();
                              self->read();
                          });
    }

    void expire_after(std::chrono::milliseconds time) {
        timer_.expires_after(time);
        timer_.async_wait([self = shared_from_this()](const AsioError& error) {
            if (!error) self->close();
        });
    }

    Protocol::socket socket_;
    asio::steady_timer timer_;
    const AskFunction& ask_;
    const CommandFunction& command_;
    const EngineState& state_;
    const ServerLimits& limits_;
    asio::streambuf buffer_;
    std::string out_;
};

} // namespace

struct Server::Impl {
    SocketFile file;
    std::string name;
    AskFunction ask;
    CommandFunction command;
    ServerLimits limits;
    const EngineState* state = nullptr;
    std::optional<Protocol::acceptor> acceptor{};
    std::optional<asio::steady_timer> retry{};
    std::vector<std::weak_ptr<Session>> sessions{};

    void accept() {
        acceptor->async_accept([this](const AsioError& error, Protocol::socket socket) {
            if (!acceptor) return;
            if (error) return accept_later();
            admit(std::move(socket));
            accept();
        });
    }

    // No descriptors are left, most likely: asking again at once would only turn in a circle.
    void accept_later() {
        retry->expires_after(std::chrono::seconds{1});
        retry->async_wait([this](const AsioError& error) {
            if (!error && acceptor) accept();
        });
    }

    void admit(Protocol::socket socket) {
        std::erase_if(sessions, [](const auto& session) {
            const auto there = session.lock();
            return !there || !there->is_open();
        });
        const bool is_allowed = may_ask(socket);
        const auto session = std::make_shared<Session>(std::move(socket), ask, command, *state, limits);
        const bool has_room = sessions.size() < limits.connections_max;
        // Beyond that, not even a refusal may wait for its reader.
        if (sessions.size() >= 2 * limits.connections_max) return session->close();
        sessions.push_back(session);
        if (!is_allowed)
            session->refuse({Refused::denied, "only root and the controller's own user may ask"});
        else if (!has_room)
            session->refuse({Refused::limit,
                             std::to_string(limits.connections_max) + " clients are connected, the limit"});
        else
            session->greet(name);
    }
};

Result<std::unique_ptr<Server>> Server::open(const std::string& path, std::string name, AskFunction ask,
                                             ServerLimits limits, CommandFunction command) {
    auto file = SocketFile::listen(path);
    if (!file) return std::unexpected(file.error());
    // NOLINTNEXTLINE(modernize-make-unique): it does not take designated initializers
    std::unique_ptr<Impl> impl(new Impl{.file = std::move(*file),
                                        .name = std::move(name),
                                        .ask = std::move(ask),
                                        .command = std::move(command),
                                        .limits = limits});
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

void Server::start(asio::io_context& context, const EngineState& state) {
    impl_->state = &state;
    impl_->retry.emplace(context);
    impl_->acceptor.emplace(context, Protocol(), impl_->file.release());
    impl_->accept();
}

void Server::stop() {
    impl_->acceptor.reset();
    impl_->retry.reset();
    for (const auto& session : impl_->sessions)
        if (const auto there = session.lock()) there->close();
    impl_->sessions.clear();
}

} // namespace homeostat::control
