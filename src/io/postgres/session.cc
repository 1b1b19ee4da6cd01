#include "io/postgres/session.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "io/postgres/raw.h"
#include "io/postgres/result.h"
#include "io/steady.h"

namespace weir::io::postgres {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using OptionsPtr = std::unique_ptr<PQconninfoOption, FreeOptions>;

// What libpq's own loop over several hosts cannot do without blocking: give each a time of its own. So each host is
// entered by itself, with all else that the URL says.
struct Target {
  std::vector<std::pair<std::string, std::string>> settings;
};

std::vector<std::string> Split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    parts.push_back(list.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

Result<std::vector<Target>> TargetsOf(const std::string& url) {
  char* message = nullptr;
  const OptionsPtr options(PQconninfoParse(url.c_str(), &message));
  // The message quotes the text, which may hold a password.
  PQfreemem(message);
  if (!options) return Fail(ErrorCode::kInvalidArgument, "libpq cannot read the URL");
  std::vector<std::pair<std::string, std::string>> common;
  std::array<std::vector<std::string>, 3> lists;  // host, hostaddr, port
  bool wants_attributes = false, names_itself = false;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string name = option->keyword;
    const std::string value = option->val;
    if (name == "host") {
      lists[0] = Split(value);
    } else if (name == "hostaddr") {
      lists[1] = Split(value);
    } else if (name == "port") {
      lists[2] = Split(value);
    } else {
      wants_attributes |= name == "target_session_attrs";
      names_itself |= name == "application_name";
      common.emplace_back(name, value);
    }
  }
  // A store on a standby could not write.
  if (!wants_attributes) common.emplace_back("target_session_attrs", "read-write");
  if (!names_itself) common.emplace_back("application_name", "weir");
  const std::size_t hosts = std::max<std::size_t>({1, lists[0].size(), lists[1].size()});
  constexpr std::array<const char*, 3> kNames = {"host", "hostaddr", "port"};
  std::vector<Target> targets(hosts, Target{common});
  for (std::size_t host = 0; host < hosts; ++host) {
    for (std::size_t list = 0; list < lists.size(); ++list) {
      if (lists[list].empty()) continue;
      const std::string& value = lists[list][std::min(host, lists[list].size() - 1)];
      if (!value.empty()) targets[host].settings.emplace_back(kNames[list], value);
    }
  }
  return targets;
}

// False: nothing came by then, or it was cancelled.
bool Wait(int socket, short events, Nanos deadline, const Cancel& cancel) {
  while (!cancel.is_set()) {
    const Nanos left = deadline - SteadyNow();
    if (left <= 0) return false;
    std::array<pollfd, 2> fds = {pollfd{.fd = socket, .events = events, .revents = 0},
                                 pollfd{.fd = cancel.descriptor(), .events = POLLIN, .revents = 0}};
    const int ready = poll(fds.data(), fds.size(), static_cast<int>(std::min<Nanos>(left / kMillisecond + 1, 60'000)));
    if (ready > 0 && fds[0].revents != 0) return true;
  }
  return false;
}

Result<std::unique_ptr<Session::Raw>> Enter(const Target& target, Nanos deadline, const Cancel& cancel) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : target.settings) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  auto raw = std::make_unique<Session::Raw>(PQconnectStartParams(names.data(), values.data(), 0));
  if (raw->conn == nullptr) return Fail(ErrorCode::kUnavailable, "no memory for a connection");
  // Notices ("already exists, skipping") are not for standard error.
  PQsetNoticeReceiver(raw->conn, [](void*, const PGresult*) {}, nullptr);
  // As if it had been asked for writing: the socket has to be writable first.
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (PQstatus(raw->conn) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
    if (next == PGRES_POLLING_FAILED) break;
    if (!Wait(PQsocket(raw->conn), next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, cancel)) {
      return Fail(ErrorCode::kUnavailable, cancel.is_set() ? "stopped" : "connecting took too long");
    }
    next = PQconnectPoll(raw->conn);
  }
  if (next == PGRES_POLLING_OK) return raw;
  return Fail(ErrorCode::kUnavailable, FirstLine(PQerrorMessage(raw->conn)));
}

}  // namespace

Cancel::Cancel() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Cancel::~Cancel() { close(descriptor_); }
void Cancel::Set() {
  set_ = true;
  const std::uint64_t one = 1;
  (void)!write(descriptor_, &one, sizeof one);  // it is readable already if this fails
}

Result<std::unique_ptr<Session>> Session::Connect(const SessionOptions& options, const Cancel& cancel) {
  auto targets = TargetsOf(options.url);
  if (!targets) return std::unexpected(targets.error());
  std::unexpected<Error> last = Fail(ErrorCode::kUnavailable, "no host");
  for (const Target& target : *targets) {
    if (cancel.is_set()) break;
    auto raw = Enter(target, SteadyNow() + options.connect_timeout, cancel);
    if (raw) return std::unique_ptr<Session>(new Session(std::move(*raw), cancel));
    last = std::unexpected(raw.error());
  }
  return last;
}

Session::Session(std::unique_ptr<Raw> raw, const Cancel& cancel) : raw_(std::move(raw)), cancel_(cancel) {}

Session::~Session() = default;

int Session::server_version() const { return PQserverVersion(raw_->conn); }

Result<Rows> Session::Run(const Statement& statement, Nanos deadline, ServerError* error) {
  const Arguments arguments(statement.params);
  const std::string text(statement.text);
  const bool sent =
      PQsendQueryParams(raw_->conn, text.c_str(), arguments.count(), arguments.types.data(), arguments.values.data(),
                        arguments.lengths.data(), arguments.formats.data(), 1) == 1;
  return Finish(sent, deadline, error);
}

Result<> Session::RunScript(const std::string& text, Nanos deadline, ServerError* error) {
  auto rows = Finish(PQsendQuery(raw_->conn, text.c_str()) == 1, deadline, error);
  if (!rows) return std::unexpected(rows.error());
  return {};
}

// Waits for what was sent; the last statement's rows.
Result<Rows> Session::Finish(bool sent, Nanos deadline, ServerError* error) {
  PGconn* const conn = raw_->conn;
  Rows rows;
  ServerError refused;
  const auto lost = [&] { return Fail(ErrorCode::kUnavailable, FirstLine(PQerrorMessage(conn))); };
  if (!sent) return lost();
  while (true) {
    while (PQisBusy(conn) != 0) {
      if (!Wait(PQsocket(conn), POLLIN, deadline, cancel_)) {
        return Fail(ErrorCode::kUnavailable, cancel_.is_set() ? "stopped" : "no answer in time");
      }
      if (PQconsumeInput(conn) == 0) return lost();
    }
    ResultPtr result(PQgetResult(conn));
    if (!result) break;
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
      rows = RowsOf(std::move(result));
    } else if (refused.code.empty()) {
      refused = ErrorOf(result.get());
      if (PQstatus(conn) == CONNECTION_BAD) return Fail(ErrorCode::kUnavailable, refused.message);
    }
  }
  if (refused.code.empty() && refused.message.empty()) return rows;
  if (error != nullptr) *error = refused;
  return Fail(ErrorCode::kFailedPrecondition, refused.message);
}

std::unique_ptr<Session::Raw> Session::Release() { return std::move(raw_); }

}  // namespace weir::io::postgres
