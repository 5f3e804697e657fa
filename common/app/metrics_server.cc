#include "common/app/metrics_server.h"

#include <sys/socket.h>

#include <cerrno>
#include <list>
#include <string_view>
#include <thread>
#include <utility>

#include "common/net/fd.h"
#include "common/net/poller.h"
#include "common/net/socket.h"

namespace hive {
namespace {

// Without descriptors or memory nobody is accepted for so long.
constexpr Duration kAcceptPause = Seconds(1);

std::string Response(std::string_view status, std::string_view body, std::string_view more_headers = "") {
  std::string text = "HTTP/1.1 " + std::string(status) + "\r\n";
  text += "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\nContent-Length: ";
  text += std::to_string(body.size()) + "\r\n" + std::string(more_headers) + "\r\n";
  text += body;
  return text;
}

}  // namespace

class MetricsServer::Loop final : private Poller::Handler {
 public:
  Loop(Fd listener, Gather gather)
      : listener_(std::move(listener)), gather_(std::move(gather)), resume_(poller_, [this] { Listen(true); }) {
    watched_ = poller_.Add(listener_, Poller::kReadable, this);
    thread_ = std::thread([this] { poller_.Run(); });
  }
  ~Loop() {
    poller_.Stop();
    thread_.join();
    connections_.clear();
    if (watched_) poller_.Remove(listener_, this);
  }

  bool watched() const { return watched_; }
  int port() const { return LocalEndpoint(listener_).port; }

 private:
  // Reads a request, writes the answer, and reads on until the peer has closed: so that nothing it may still send makes
  // the kernel reset the connection under the answer.
  class Connection final : private Poller::Handler {
   public:
    Connection(Loop& loop, Fd socket)
        : loop_(loop), socket_(std::move(socket)), patience_(loop.poller_, [this] { loop_.Forget(*this); }) {
      watched_ = loop_.poller_.Add(socket_, Poller::kReadable, this);
      patience_.StartIn(watched_ ? kPatience : Duration(0));
    }
    ~Connection() {
      if (watched_) loop_.poller_.Remove(socket_, this);
    }

   private:
    void OnReady(uint32_t ready) override {
      if ((ready & ~Poller::kWritable) != 0 && !Read()) return loop_.Forget(*this);
      if (!response_.empty() && !Write()) return loop_.Forget(*this);
    }

    // False: the connection is over.
    bool Read() {
      char buffer[4096];
      const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      if (n == 0) return !response_.empty();  // whoever closes its own direction still gets the answer
      if (answered_) return true;
      request_.append(buffer, static_cast<size_t>(n));
      if (request_.find("\r\n\r\n") != std::string::npos) {
        Answer(loop_.ResponseTo(request_));
      } else if (request_.size() > kRequestBytes) {
        Answer(Response("431 Request Header Fields Too Large", "the request is too large\n"));
      }
      return true;
    }

    void Answer(std::string response) {
      response_ = std::move(response);
      answered_ = true;
      request_.clear();
      loop_.poller_.Modify(socket_, Poller::kWritable, this);
    }

    bool Write() {
      const ssize_t n = ::send(socket_.get(), response_.data(), response_.size(), MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      response_.erase(0, static_cast<size_t>(n));
      if (!response_.empty()) return true;
      ::shutdown(socket_.get(), SHUT_WR);
      loop_.poller_.Modify(socket_, Poller::kReadable, this);
      return true;
    }

    Loop& loop_;
    Fd socket_;
    Timer patience_;
    bool watched_ = false;
    bool answered_ = false;
    std::string request_;
    std::string response_;
  };

  void OnReady(uint32_t) override {
    while (connections_.size() < kConnections) {
      int error = 0;
      Fd socket = AcceptTcp(listener_, error);
      if (socket.valid()) {
        connections_.emplace_back(*this, std::move(socket));
      } else if (error == EAGAIN) {
        return;
      } else if (error != ECONNABORTED) {
        Listen(false);
        return resume_.StartIn(kAcceptPause);
      }
    }
    Listen(false);
  }

  void Listen(bool on) { poller_.Modify(listener_, on ? Poller::kReadable : 0, this); }

  void Forget(Connection& connection) {
    connections_.remove_if([&](const Connection& other) { return &other == &connection; });
    if (!resume_.running()) Listen(true);
  }

  std::string ResponseTo(std::string_view request) const {
    const std::string_view line = request.substr(0, request.find("\r\n"));
    const size_t space = line.find(' ');
    const std::string_view method = line.substr(0, space);
    const size_t end = space == std::string_view::npos ? space : line.find(' ', space + 1);
    if (end == std::string_view::npos || !line.substr(end + 1).starts_with("HTTP/1.")) {
      return Response("400 Bad Request", "this is plain HTTP/1.1\n");
    }
    std::string_view path = line.substr(space + 1, end - space - 1);
    path = path.substr(0, path.find('?'));
    if (path != "/metrics") return Response("404 Not Found", "metrics are at /metrics\n");
    if (method != "GET" && method != "HEAD") {
      return Response("405 Method Not Allowed", "GET or HEAD only\n", "Allow: GET, HEAD\r\n");
    }
    const std::optional<std::string> page = gather_();
    std::string response =
        page ? Response("200 OK", *page) : Response("503 Service Unavailable", "no answer in time\n");
    if (method == "HEAD") response.erase(response.find("\r\n\r\n") + 4);
    return response;
  }

  Poller poller_;
  Fd listener_;
  const Gather gather_;
  Timer resume_;
  bool watched_ = false;
  std::list<Connection> connections_;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const ListenAddress& address, Gather gather) {
  absl::StatusOr<Fd> listener = ListenTcp(address);
  if (!listener.ok()) {
    return absl::Status(listener.status().code(), std::string(listener.status().message()) + " (--metrics-listen)");
  }
  auto loop = std::make_unique<Loop>(std::move(*listener), std::move(gather));
  if (!loop->watched()) return absl::ResourceExhaustedError("cannot serve metrics: " + ErrnoText(ENOSPC));
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(loop)));
}

MetricsServer::MetricsServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

MetricsServer::~MetricsServer() = default;

int MetricsServer::port() const { return loop_->port(); }

}  // namespace hive
