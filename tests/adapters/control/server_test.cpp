// The control socket under friendly and unfriendly clients. The loop is an io_context of the test's; a client
// is a blocking socket on a thread of its own, or a socket that the test does not read.
#include "adapters/control/client.hpp"
#include "adapters/control/server.hpp"
#include "adapters/control/socket_file.hpp"
#include "tests/engine/scenario.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace homeostat::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using control::Server;
using control::ServerLimits;
using control::SocketFile;
using testing::HasSubstr;

class Folder {
  public:
    Folder() {
        std::string pattern = (fs::temp_directory_path() / "homeostat-control-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~Folder() { fs::remove_all(path_); }
    std::string socket() const { return path_ + "/c.sock"; }

  private:
    std::string path_;
};

// Echoes the request's text; "big" asks for many bytes, and to "why" there is no answer.
control::Reply echo(const EngineState& state, const json::object& request) {
    using control::Refused;
    const json::value* text = request.if_contains("text");
    if (text == nullptr) return std::unexpected(control::Refusal{Refused::request, "expected a text"});
    if (*text == "why") return std::unexpected(control::Refusal{Refused::question, "nobody knows"});
    if (*text == "big") return json::object{{"text", std::string(100'000, 'x')}};
    return json::object{{"text", *text}, {"generation", state.generation->number}};
}

// A server and its loop, until the end of the test.
class Loop {
  public:
    explicit Loop(const std::string& path, ServerLimits limits = {})
        : state_(generation_of({})), server_(Server::open(path, "homeostat test", echo, limits).value()) {
        server_->start(context_, state_);
        thread_ = std::thread([this] { context_.run(); });
    }
    ~Loop() { // NOLINT(bugprone-exception-escape): then the test is to end
        boost::asio::post(context_, [this] {
            server_->stop();
            guard_.reset();
        });
        thread_.join(); // it must end by itself: nothing is left that it waits for
    }

  private:
    EngineState state_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{context_.get_executor()};
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

// A client that can do anything wrong.
class RawClient {
  public:
    explicit RawClient(const std::string& path)
        : descriptor_(control::connect_to(path, std::chrono::seconds{30}).value()) {}
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;
    ~RawClient() { ::close(descriptor_); }

    // False once the server has closed.
    bool send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    // The next line; "" where the server has closed.
    std::string line() const {
        std::string text;
        for (char c = 0; ::recv(descriptor_, &c, 1, 0) == 1;) {
            if (c == '\n') return text;
            text += c;
        }
        return "";
    }

  private:
    int descriptor_;
};

std::string text_of(const Result<json::object>& answer) {
    if (!answer) return "error: " + answer.error().what;
    return std::string(answer->at("text").as_string());
}

std::string ask_text(const std::string& path, const std::string& text) {
    return text_of(control::ask(path, {{"text", text}}));
}

TEST(ControlSocket, GreetsWithItsVersionAndAnswersOneLineAfterAnother) {
    const Folder folder;
    const Loop loop(folder.socket());
    const RawClient client(folder.socket());
    EXPECT_EQ(client.line(), R"({"protocol":1,"server":"homeostat test"})");
    client.send("{\"id\":7,\"protocol\":1,\"text\":\"a\"}\n{\"id\":8,\"protocol\":1,\"text\":\"b\"}\n");
    EXPECT_EQ(client.line(), R"({"id":7,"answer":{"text":"a","generation":1}})");
    EXPECT_EQ(client.line(), R"({"id":8,"answer":{"text":"b","generation":1}})");
    EXPECT_EQ(ask_text(folder.socket(), "c"), "c");
    EXPECT_EQ(text_of(control::ask(folder.socket(), {})), "error: expected a text");
}

TEST(ControlSocket, AnswersGarbageWithAnErrorAndGoesOn) {
    const Folder folder;
    const Loop loop(folder.socket());
    const RawClient client(folder.socket());
    client.line();
    const std::string deep(1'000, '[');
    for (const std::string& garbage : {std::string("garbage"), std::string("[1]"), std::string("{"),
                                       std::string(""), std::string("\0\xff", 2), deep}) {
        ASSERT_TRUE(client.send(garbage + "\n"));
        EXPECT_THAT(client.line(),
                    HasSubstr(R"("code":"request","what":"expected one JSON object on a line")"));
    }
    client.send("{\"id\":{\"a\":[null]},\"protocol\":1,\"text\":5}\n");
    EXPECT_EQ(client.line(), R"({"id":{"a":[null]},"answer":{"text":5,"generation":1}})");
}

// The code of the error in a line; "" where there is none.
std::string code_of(const std::string& line) {
    const json::value value = json::parse(line.empty() ? "{}" : line);
    const json::value* error = value.as_object().if_contains("error");
    return error == nullptr ? "" : std::string(error->at("code").as_string());
}

TEST(ControlSocket, RefusesByTheCodesOfItsTableAndHangsUpAfterThoseThatSaySo) {
    struct Case {
        control::Refused kind;
        std::string request;
    };
    const std::array<Case, 5> cases{{{control::Refused::protocol, R"({"protocol":2,"text":"a"})"},
                                     {control::Refused::request, "no JSON"},
                                     {control::Refused::request, R"({"protocol":1})"},
                                     {control::Refused::question, R"({"protocol":1,"text":"why"})"},
                                     {control::Refused::limit, R"({"protocol":1,"text":"big"})"}}};
    const Folder folder;
    const Loop loop(folder.socket(), {.answer_bytes_max = 10'000});
    for (const Case& one : cases) {
        const RawClient client(folder.socket());
        client.line();
        client.send(one.request + "\n");
        const control::ErrorCode& expected = control::error_codes[static_cast<std::size_t>(one.kind)];
        EXPECT_EQ(code_of(client.line()), expected.code) << one.request;
        client.send("{\"protocol\":1,\"text\":\"on\"}\n");
        EXPECT_EQ(client.line().empty(), expected.closes) << one.request;
    }
}

TEST(ControlSocket, RefusesAnotherVersionByItsName) {
    const Folder folder;
    const Loop loop(folder.socket());
    const RawClient client(folder.socket());
    client.line();
    client.send("{\"id\":1,\"protocol\":2,\"text\":\"a\"}\n");
    EXPECT_THAT(client.line(), HasSubstr(R"("code":"protocol","what":"this controller speaks protocol 1)"));
    EXPECT_EQ(client.line(), "") << "and hangs up";
}

TEST(ControlSocket, RefusesALineThatIsTooLong) {
    const Folder folder;
    const Loop loop(folder.socket(), {.request_bytes_max = 1'000});
    const RawClient client(folder.socket());
    client.line();
    client.send(std::string(1'001, 'x'));
    EXPECT_THAT(client.line(), HasSubstr(R"("code":"limit","what":"a request is longer than 1000 bytes")"));
    EXPECT_EQ(client.line(), "");
    EXPECT_EQ(ask_text(folder.socket(), "still here"), "still here");
}

TEST(ControlSocket, OutlivesAHalfLineAndAHangUp) {
    const Folder folder;
    const Loop loop(folder.socket());
    for (int i = 0; i < 50; ++i) {
        const RawClient client(folder.socket());
        client.send("{\"id\":1,\"protocol\":1,");
    }
    EXPECT_EQ(ask_text(folder.socket(), "still here"), "still here");
}

TEST(ControlSocket, DropsAClientThatSaysNothing) {
    const Folder folder;
    const Loop loop(folder.socket(), {.idle_max = std::chrono::milliseconds{50}});
    const RawClient client(folder.socket());
    client.line();
    EXPECT_EQ(client.line(), "");
}

TEST(ControlSocket, RefusesMoreThanSoManyClientsAndTakesNewOnesWhenTheyLeave) {
    const Folder folder;
    const Loop loop(folder.socket(), {.connections_max = 2});
    {
        const RawClient first(folder.socket());
        const RawClient second(folder.socket());
        first.line();
        second.line();
        const RawClient third(folder.socket());
        EXPECT_THAT(third.line(), HasSubstr(R"("code":"limit","what":"2 clients are connected, the limit")"));
        EXPECT_EQ(third.line(), "");
        EXPECT_THAT(ask_text(folder.socket(), "a"), HasSubstr("error: 2 clients are connected"));
    }
    std::string answer;
    // The server hears of the two hang-ups at some time of its own.
    for (int i = 0; i < 1'000 && answer != "a"; ++i) answer = ask_text(folder.socket(), "a");
    EXPECT_EQ(answer, "a");
}

TEST(ControlSocket, DropsAClientThatDoesNotReadAndServesTheOthersMeanwhile) {
    const Folder folder;
    const Loop loop(folder.socket(), {.unread_max = std::chrono::milliseconds{200}});
    const RawClient slow(folder.socket());
    std::string requests;
    for (int i = 0; i < 100; ++i) requests += "{\"id\":1,\"protocol\":1,\"text\":\"big\"}\n";
    slow.send(requests);
    EXPECT_EQ(ask_text(folder.socket(), "quick"), "quick");
    while (slow.send("{\"id\":1,\"protocol\":1,\"text\":\"big\"}\n")) {
    } // until it is dropped
    EXPECT_EQ(ask_text(folder.socket(), "still here"), "still here");
}

TEST(ControlSocket, TellsWhereAnAnswerWouldBeTooLong) {
    const Folder folder;
    const Loop loop(folder.socket(), {.answer_bytes_max = 10'000});
    EXPECT_EQ(ask_text(folder.socket(), "big"), "error: the answer is longer than 10000 bytes; ask for less");
}

TEST(ControlSocket, IsRefusedToOtherUsers) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
    const Folder folder;
    const Loop loop(folder.socket());
    struct stat file{};
    ASSERT_EQ(::stat(folder.socket().c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 07777, 0600U);
    // Even where somebody opens the file to all.
    fs::permissions(folder.socket(), fs::perms(0666));
    fs::permissions(fs::path(folder.socket()).parent_path(), fs::perms(0755));
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setuid(65'534) != 0) ::_exit(2);
        const RawClient client(folder.socket());
        const bool is_denied = client.line().find("\"code\":\"denied\"") != std::string::npos;
        ::_exit(is_denied && client.line().empty() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

// ---- the file

TEST(SocketFiles, AreNotTakenFromAControllerThatAnswers) {
    const Folder folder;
    const Loop loop(folder.socket());
    const auto second = Server::open(folder.socket(), "second", echo);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().what,
              "control socket " + folder.socket() + ": another controller answers on it");
    EXPECT_EQ(ask_text(folder.socket(), "first"), "first");
}

TEST(SocketFiles, OfAControllerThatWasKilledAreReplaced) {
    const Folder folder;
    const pid_t child = ::fork();
    if (child == 0) {
        const auto left_behind = SocketFile::listen(folder.socket());
        ::_exit(left_behind ? 0 : 1); // runs no destructor
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(fs::exists(folder.socket()));
    EXPECT_THAT(ask_text(folder.socket(), "a"), HasSubstr("Connection refused"));
    const Loop loop(folder.socket());
    EXPECT_EQ(ask_text(folder.socket(), "a"), "a");
}

TEST(SocketFiles, AreRemovedAtTheEndUnlessTheyAreSomebodyElses) {
    const Folder folder;
    {
        const Loop loop(folder.socket());
    }
    EXPECT_FALSE(fs::exists(folder.socket()));
    {
        const Loop loop(folder.socket());
        fs::remove(folder.socket());
        std::ofstream(folder.socket()) << "another file";
    }
    EXPECT_TRUE(fs::exists(folder.socket()));
}

TEST(SocketFiles, DoNotReplaceAFileOfAnotherKind) {
    const Folder folder;
    std::ofstream(folder.socket()) << "precious";
    const auto server = Server::open(folder.socket(), "homeostat", echo);
    ASSERT_FALSE(server);
    EXPECT_THAT(server.error().what, HasSubstr("a file that is no socket is there"));
    EXPECT_TRUE(fs::exists(folder.socket()));
}

TEST(SocketFiles, MakeEveryFolderThatIsMissingForTheirOwnerAlone) {
    const Folder folder;
    const fs::path parent = fs::path(folder.socket()).parent_path() / "a" / "b";
    const auto file = SocketFile::listen((parent / "c.sock").string());
    ASSERT_TRUE(file) << file.error().what;
    for (const fs::path& made : {parent, parent.parent_path()})
        EXPECT_EQ(fs::status(made).permissions(), fs::perms::owner_all) << made;
}

TEST(SocketFiles, ThatNobodyTakesConnectionsFromAreNotWaitedForForever) {
    const Folder folder;
    const auto file = SocketFile::listen(folder.socket());
    ASSERT_TRUE(file);
    constexpr std::chrono::milliseconds patience{50};
    std::vector<int> waiting;
    auto one = control::connect_to(folder.socket(), patience);
    for (; one; one = control::connect_to(folder.socket(), patience)) waiting.push_back(*one);
    EXPECT_THAT(one.error().what, HasSubstr("it does not answer in time"));
    EXPECT_THAT(text_of(control::ask(folder.socket(), {}, patience)),
                HasSubstr("it does not answer in time"));
    for (const int descriptor : waiting) ::close(descriptor);
}

TEST(SocketFiles, AreFoundWhereSomebodyAnswers) {
    const Folder folder;
    const std::string parent = fs::path(folder.socket()).parent_path();
    EXPECT_THAT(control::answering_sockets(parent), testing::IsEmpty());
    const Loop loop(folder.socket());
    EXPECT_THAT(control::answering_sockets(parent), testing::ElementsAre(folder.socket()));
    EXPECT_THAT(control::answering_sockets("/no/such/folder"), testing::IsEmpty());
}

} // namespace
} // namespace homeostat::test
