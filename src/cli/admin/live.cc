// watch and top: what happens now.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include "cli/admin/commands.h"
#include "cli/admin/top_view.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

constexpr std::string_view kStream = "/stats/stream";

volatile std::sig_atomic_t g_stopped = 0;

// While it lives, Ctrl-C and a request to end are noted instead of ending the process: what it drew is taken away
// first.
class Stopping {
 public:
  Stopping() {
    struct sigaction noted{};
    noted.sa_handler = [](int) { g_stopped = 1; };
    sigemptyset(&noted.sa_mask);
    sigaction(SIGINT, &noted, &interrupt_);
    sigaction(SIGTERM, &noted, &terminate_);
    sigaction(SIGHUP, &noted, &hang_up_);
  }
  ~Stopping() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
    sigaction(SIGHUP, &hang_up_, nullptr);
  }
  Stopping(const Stopping&) = delete;
  Stopping& operator=(const Stopping&) = delete;
  static bool asked() { return g_stopped != 0; }

 private:
  struct sigaction interrupt_{}, terminate_{}, hang_up_{};
};

// The terminal's other screen, without a cursor; what was there before comes back.
class Screen {
 public:
  Screen() { Write("\x1b[?1049h\x1b[?25l"); }
  ~Screen() { Write("\x1b[?25h\x1b[?1049l"); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  // From the top; what is left of longer lines and of more lines goes.
  static void Show(const std::string& text) {
    std::string out = "\x1b[H";
    for (const char c : text) {
      if (c == '\n') out += "\x1b[K";
      out += c;
    }
    Write(out + "\x1b[J");
  }

 private:
  static void Write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
};

struct Size {
  std::size_t width = 0, height = 0;
};

Size ScreenSize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {80, 24};
  return {size.ws_col == 0 ? 80U : size.ws_col, size.ws_row == 0 ? 24U : size.ws_row};
}

Outcome<> Watch(const WatchOptions& options) {
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const Stopping stopping;
  std::uint32_t seen = 0;
  const auto done = server->Events(
      std::string(kStream),
      [&](std::string_view data) {
        boost::system::error_code fault;
        const json::value stats = json::parse(data, fault);
        if (fault) return true;
        if (options.common.json) {
          fmt::print("{}\n", data);
        } else {
          fmt::print("{}\n", TopView::Line(stats));
        }
        std::fflush(stdout);
        return ++seen != options.count && !Stopping::asked();
      },
      [] { return Stopping::asked(); });
  if (!done || Stopping::asked() || (options.count > 0 && seen >= options.count)) return done;
  return std::unexpected(Complaint{.exit_code = kUnreachable, .text = server->url() + " ended the stream"});
}

class Top {
 public:
  Top(AdminServer& server, const TopOptions& options) : server_(server), options_(options) {}

  // Asks for everything once more, and shows it.
  Outcome<> Next() {
    const auto before = std::chrono::steady_clock::now();
    const auto answer = server_.Get("/stats");
    if (!answer) return std::unexpected(answer.error());
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> between = now - asked_at_.value_or(now);
    view_.Add(answer->value, between.count());
    asked_at_ = now;
    answered_in_ = std::chrono::duration_cast<std::chrono::nanoseconds>(now - before).count();
    stats_ = answer->value;
    return {};
  }
  std::string Text(Size size) const {
    const std::string title = fmt::format("{}  {}  management answers in {}", server_.url(),
                                          Printable(TextAt(stats_, "time")), Duration(answered_in_));
    return view_.Text(title, size.width, size.height);
  }
  void Print() const {
    if (options_.common.json) {
      fmt::print("{}\n", json::serialize(stats_));
    } else {
      fmt::print("{}", Text({TerminalWidth(), 0}));
    }
    std::fflush(stdout);
  }

 private:
  AdminServer& server_;
  const TopOptions& options_;
  TopView view_;
  json::value stats_;
  std::optional<std::chrono::steady_clock::time_point> asked_at_;
  Nanos answered_in_ = 0;
};

// The stream's events are the beat; each brings a look at the rules, too, over another connection.
Outcome<> Follow(AdminServer& stream, Top& top, bool plain) {
  std::optional<Screen> screen;
  if (!plain) screen.emplace();
  Outcome<> last;
  const auto done = stream.Events(
      std::string(kStream),
      [&](std::string_view) {
        last = top.Next();
        if (!last) return false;
        if (plain) {
          top.Print();
        } else {
          Screen::Show(top.Text(ScreenSize()));
        }
        return !Stopping::asked();
      },
      [] { return Stopping::asked(); });
  if (Stopping::asked()) return {};
  if (!last) return last;
  if (!done) return done;
  return std::unexpected(Complaint{.exit_code = kUnreachable, .text = stream.url() + " ended the stream"});
}

Outcome<> RunTopFor(const TopOptions& options) {
  auto server = AdminServer::Connect(options.common, 10 * kSecond);
  if (!server) return std::unexpected(server.error());
  Top top(*server, options);
  if (auto first = top.Next(); !first) return first;
  if (options.once) {
    top.Print();
    return {};
  }
  auto stream = AdminServer::Connect(options.common);
  if (!stream) return std::unexpected(stream.error());
  const Stopping stopping;
  return Follow(*stream, top, isatty(STDOUT_FILENO) != 1 || options.common.json);
}

}  // namespace

int RunWatch(const WatchOptions& options) { return ExitCode(Watch(options), options.common.json); }
int RunTop(const TopOptions& options) { return ExitCode(RunTopFor(options), options.common.json); }

}  // namespace weir::cli::admin
