// The flags of `weir login`, `weir top` and `weir admin`.
#include "cli/admin/commands.h"

#include <memory>

namespace weir::cli::admin {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 refused (by the server, or by whoever was asked), 2 wrong usage, 3 no server answered.";

// Everything that flags write into.
struct Options {
  LoginOptions login;
  TopOptions top;
  std::string context_name;
  bool context_json = false;
  GetOptions get;
  SetOptions set;
  DeleteOptions remove;
  ApplyOptions apply;
  RevisionListOptions revisions;
  DiffOptions diff;
  RollbackOptions rollback;
  DecideOptions approve, reject;
  KeyOptions key_create, key_rotate, key_revoke;
  GetOptions key_list, token_list;
  TokenOptions token_create, token_revoke;
  AuditOptions audit;
  WatchOptions watch;
  DocumentOptions exported, imported;
  std::string export_format = "yaml";
  std::string output;  // of get; empty: the default
  BackupOptions backup, restore;
};

enum Flags : unsigned { kReads = 0, kReason = 1, kConfirms = 2 };

void AddCommon(CLI::App* command, CommonOptions& common, unsigned flags) {
  command->add_option("--context", common.context,
                      "which server; default: $WEIR_ADMIN_URL, else the one logged in to last");
  command->add_flag("--json", common.json, "print JSON");
  if ((flags & kReason) != 0)
    command->add_option("--reason", common.reason, "why; kept with the revision and in the audit log");
  if ((flags & kConfirms) != 0) command->add_flag("-y,--yes", common.yes, "do not ask whether to go on");
}

class Builder {
 public:
  Builder(Options& options, std::function<int()>& run) : options_(options), run_(run) {}

  void Login(CLI::App& app) {
    CLI::App* const command =
        app.add_subcommand("login", "remember a server and its token, and make it the current one");
    LoginOptions& login = options_.login;
    command->add_option("URL", login.url, "https://HOST:PORT, unix:/PATH, or 127.0.0.1:8089")->required();
    command->add_option("--name", login.name, "of the context; default: the host's name");
    command->add_option("--ca-file", login.ca_file, "PEM file of the authority that the server's certificate is by");
    command->add_option("--cert", login.certificate_file,
                        "PEM file of a client's certificate, where the server asks for one");
    command->add_option("--key", login.key_file, "PEM file of its key");
    command->add_flag("--allow-plaintext", login.allow_plaintext,
                      "http:// to another machine, with the token in the clear");
    command->footer("The token is typed, read from standard input or from $WEIR_ADMIN_TOKEN.");
    Does(command, [&login] { return RunLogin(login); });
  }

  void Top(CLI::App& app) {
    CLI::App* const command =
        app.add_subcommand("top", "show what a server decides, live: rates and the hottest rules");
    AddCommon(command, options_.top.common, kReads);
    command->add_flag("--once", options_.top.once, "show it once");
    Does(command, [this] { return RunTop(options_.top); });
  }

  void Contexts(CLI::App& admin) {
    CLI::App* const contexts = admin.add_subcommand("context", "the servers that were logged in to");
    contexts->require_subcommand(1);
    CLI::App* command = contexts->add_subcommand("list", "list them; * marks the current one");
    command->add_flag("--json", options_.context_json, "print JSON");
    Does(command, [this] { return RunContextList(options_.context_json); });
    command = contexts->add_subcommand("use", "make one the current one");
    command->add_option("NAME", options_.context_name, "of the context")->required();
    Does(command, [this] { return RunContextUse(options_.context_name); });
    command = contexts->add_subcommand("remove", "forget one and its token");
    command->add_option("NAME", options_.context_name, "of the context")->required();
    Does(command, [this] { return RunContextRemove(options_.context_name); });
  }

  void Records(CLI::App& admin) {
    CLI::App* command = admin.add_subcommand("get", "list a kind, or show one: get users; get users/alice");
    GetOptions& get = options_.get;
    command->add_option("KIND[/NAME]", get.what, "users, tenants, tiers, endpoints, keys, overrides, ...")->required();
    command->add_option("NAME", get.name, "one of them");
    AddCommon(command, get.common, kReads);
    command
        ->add_option("-o,--output", options_.output,
                     "yaml is as `apply` reads it; default: a table of many, yaml of one")
        ->check(CLI::IsMember({"table", "yaml", "json"}));
    command->add_option("--prefix", get.prefix, "names that begin so");
    command->add_option("--label", get.labels, "NAME:VALUE; may be repeated, all must be there")
        ->allow_extra_args(false);
    command->add_option("--tenant", get.tenant, "of this tenant");
    Most(command, get.most);
    Does(command, [this, &get] {
      if (options_.output == "table") get.form = Form::kTable;
      if (options_.output == "yaml") get.form = Form::kYaml;
      if (options_.output == "json") get.form = Form::kJson;
      return RunGet(get);
    });

    command = admin.add_subcommand("set", "make or change one: set users/alice rule.max_requests=500");
    SetOptions& set = options_.set;
    command->add_option("KIND/NAME", set.what, "which: users/alice, endpoints//login, overrides/users/alice")
        ->required();
    command->add_option("CHANGES", set.assignments,
                        "FIELD=VALUE, such as rule.max_requests=500; null takes a field away");
    AddCommon(command, set.common, kReason);
    command->add_option("-f,--file", set.file, "the whole record, YAML or JSON; - reads standard input");
    command->add_option("--label", set.labels, "NAME=VALUE; may be repeated")->allow_extra_args(false);
    command->add_option("--expires", set.expires,
                        "when it goes by itself: 2026-12-04T17:00:00Z, or 12h, 3d, 2w from now");
    command->add_option("--note", set.note, "a remark that is kept with it");
    command->add_option("--if-match", set.if_match, "only if it has this ETag; default: the one that it has now");
    Does(command, [&set] { return RunSet(set); });

    command = admin.add_subcommand("delete", "delete one");
    command->add_option("KIND/NAME", options_.remove.what, "which")->required();
    command->add_option("NAME", options_.remove.name, "which, behind its kind");
    AddCommon(command, options_.remove.common, kReason | kConfirms);
    Does(command, [this] { return RunDelete(options_.remove); });

    command = admin.add_subcommand("apply", "put many records of a file as one revision, all or none");
    command
        ->add_option("-f,--file", options_.apply.file,
                     "users: {alice: {...}}, as `get -o yaml` prints; - reads standard input")
        ->required();
    command->add_flag("--dry-run", options_.apply.dry_run,
                      "let the server check it, show what would change, and change nothing");
    AddCommon(command, options_.apply.common, kReason | kConfirms);
    Does(command, [this] { return RunApply(options_.apply); });
  }

  void Revisions(CLI::App& admin) {
    CLI::App* command = admin.add_subcommand("revisions", "list the accepted changes, the newest first");
    command->add_option("--author", options_.revisions.author, "only by this one");
    AddCommon(command, options_.revisions.common, kReads);
    Most(command, options_.revisions.most);
    Does(command, [this] { return RunRevisions(options_.revisions); });

    command = admin.add_subcommand("diff", "show what a revision changed, or what differs between two");
    command->add_option("N", options_.diff.from, "a revision")->required()->check(CLI::PositiveNumber);
    command->add_option("M", options_.diff.to, "another one: from N to M")->check(CLI::PositiveNumber);
    AddCommon(command, options_.diff.common, kReads);
    Does(command, [this] { return RunDiff(options_.diff); });

    command = admin.add_subcommand("rollback", "make everything as it was at a revision, as a new one");
    command->add_option("N", options_.rollback.number, "the revision")->required()->check(CLI::PositiveNumber);
    AddCommon(command, options_.rollback.common, kReason | kConfirms);
    Does(command, [this] { return RunRollback(options_.rollback); });
  }

  // `approvals` are listed by get.
  void Decisions(CLI::App& admin) {
    options_.reject.approve = false;
    for (DecideOptions* one : {&options_.approve, &options_.reject}) {
      CLI::App* const command =
          one->approve
              ? admin.add_subcommand("approve", "let a change of somebody else's into force; get approvals lists them")
              : admin.add_subcommand("reject", "refuse a change of somebody else's");
      command->add_option("ID", one->id, "the approval's number")->required();
      AddCommon(command, one->common, kReason | kConfirms);
      Does(command, [one] { return RunDecide(*one); });
    }
  }

  void Keys(CLI::App& admin) {
    CLI::App* const keys = admin.add_subcommand("keys", "API keys of subscribers");
    keys->require_subcommand(1);
    CLI::App* command = keys->add_subcommand("list", "list them, never their secrets");
    List(command, options_.key_list, "keys");
    command = keys->add_subcommand("create", "make one; its secret is printed this once");
    KeyOptions& key = options_.key_create;
    command->add_option("--plan", key.plan, "its tier");
    command->add_option("--tenant", key.tenant, "whose it is");
    command->add_option("--user", key.user, "whom it stands for");
    command->add_option("--quota", key.quotas, "NUMBER/PERIOD, such as 10000/day; may be repeated")
        ->allow_extra_args(false);
    command->add_option("--scope", key.scopes, "may be repeated")->allow_extra_args(false);
    command->add_option("--expires", key.expires, "2026-12-04T17:00:00Z, or 90d from now");
    command->add_option("--label", key.labels, "NAME=VALUE; may be repeated")->allow_extra_args(false);
    command->add_option("--note", key.note, "a remark that is kept with it");
    command->add_option("-f,--file", key.file, "its limits, YAML or JSON");
    AddCommon(command, key.common, kReason);
    Does(command, [&key] { return RunKeyCreate(key); });
    command = keys->add_subcommand("rotate", "exchange its secret; the limits stay");
    command->add_option("ID", options_.key_rotate.id, "key_...")->required();
    command->add_option("--overlap", options_.key_rotate.overlap, "how long the old one holds on: 24h")
        ->capture_default_str();
    AddCommon(command, options_.key_rotate.common, kReason | kConfirms);
    Does(command, [this] { return RunKeyRotate(options_.key_rotate); });
    command = keys->add_subcommand("revoke", "end one");
    command->add_option("ID", options_.key_revoke.id, "key_...")->required();
    AddCommon(command, options_.key_revoke.common, kReason | kConfirms);
    Does(command, [this] { return RunKeyRevoke(options_.key_revoke); });
  }

  void Tokens(CLI::App& admin) {
    CLI::App* const tokens = admin.add_subcommand("tokens", "tokens of programs and people for management");
    tokens->require_subcommand(1);
    CLI::App* command = tokens->add_subcommand("list", "list them, never their secrets");
    List(command, options_.token_list, "tokens");
    command = tokens->add_subcommand("create", "make one; its secret is printed this once");
    TokenOptions& token = options_.token_create;
    command->add_option("NAME", token.id, "what it is for")->required();
    command->add_option("--role", token.roles, "viewer, operator, editor, security, admin or auditor; may be repeated")
        ->required()
        ->allow_extra_args(false);
    command->add_option("--tenant", token.tenant, "within this tenant only");
    command->add_option("--expires", token.expires, "2026-12-04T17:00:00Z, or 90d from now");
    AddCommon(command, token.common, kReason);
    Does(command, [&token] { return RunTokenCreate(token); });
    command = tokens->add_subcommand("revoke", "end one");
    command->add_option("ID", options_.token_revoke.id, "tok_...")->required();
    AddCommon(command, options_.token_revoke.common, kReason | kConfirms);
    Does(command, [this] { return RunTokenRevoke(options_.token_revoke); });
  }

  void Looking(CLI::App& admin) {
    CLI::App* command = admin.add_subcommand("audit", "what was done, by whom, and what was refused; the newest first");
    AuditOptions& audit = options_.audit;
    const std::pair<const char*, const char*> filters[] = {{"actor", "by this one"},
                                                           {"action", "update:users, update:*, *:users"},
                                                           {"kind", "of objects: users"},
                                                           {"object", "its name"},
                                                           {"outcome", "success, denied or error"},
                                                           {"request_id", "of this request"},
                                                           {"address", "from this address"}};
    audit.filters.reserve(std::size(filters));  // flags hold addresses in it
    for (const auto& [name, text] : filters) {
      audit.filters.emplace_back(name, "");
      std::string flag = std::string("--") + name;
      if (const auto at = flag.find('_'); at != std::string::npos) flag[at] = '-';
      command->add_option(flag, audit.filters.back().second, text);
    }
    command->add_option("--from", audit.from, "not before: a time, or so long ago: 2h");
    command->add_option("--to", audit.to, "before");
    AddCommon(command, audit.common, kReads);
    Most(command, audit.most);
    command->footer("--json prints a record a line. `weir audit verify` checks the log itself.");
    Does(command, [&audit] { return RunAudit(audit); });

    command = admin.add_subcommand("watch", "print the statistics each second");
    command->add_option("-n,--count", options_.watch.count, "so often; 0: until it is stopped");
    AddCommon(command, options_.watch.common, kReads);
    Does(command, [this] { return RunWatch(options_.watch); });
  }

  void Documents(CLI::App& admin) {
    CLI::App* command = admin.add_subcommand("export", "everything as one document, without secrets");
    command->add_option("FILE", options_.exported.file, "where to; default: standard output");
    command->add_option("--format", options_.export_format, "yaml or json")
        ->check(CLI::IsMember({"yaml", "json"}))
        ->capture_default_str();
    AddCommon(command, options_.exported.common, kReads);
    Does(command, [this] {
      options_.exported.as_json = options_.exported.common.json || options_.export_format == "json";
      return RunExport(options_.exported);
    });
    command = admin.add_subcommand("import", "replace everything by a document");
    command->add_option("FILE", options_.imported.file, "YAML or JSON; - reads standard input")->required();
    AddCommon(command, options_.imported.common, kReason | kConfirms);
    Does(command, [this] { return RunImport(options_.imported); });
  }

  void Backups(CLI::App& admin) {
    CLI::App* command =
        admin.add_subcommand("backup", "copy this machine's state directory into one file; weir may be running");
    command->add_option("FILE", options_.backup.file, "a new tar file; keep it as the directory itself")->required();
    command->add_option("--state-dir", options_.backup.state_dir, "where the daemon keeps its state");
    command->add_flag("--json", options_.backup.common.json, "print JSON");
    Does(command, [this] { return RunBackup(options_.backup); });
    command = admin.add_subcommand("restore", "make a state directory of a backup");
    command->add_option("FILE", options_.restore.file, "the backup")->required();
    command->add_option("--state-dir", options_.restore.state_dir, "it must not be there, or be empty");
    command->add_flag("--json", options_.restore.common.json, "print JSON");
    command->add_flag("-y,--yes", options_.restore.common.yes, "do not ask whether to go on");
    Does(command, [this] { return RunRestore(options_.restore); });
  }

 private:
  void Does(CLI::App* command, std::function<int()> what) {
    command->callback([this, what = std::move(what)] { run_ = what; });
  }
  static void Most(CLI::App* command, std::size_t& most) {
    command->add_option("--limit", most, "how many at most")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  }
  void List(CLI::App* command, GetOptions& list, const char* kind) {
    AddCommon(command, list.common, kReads);
    list.what = kind;
    Does(command, [&list] { return RunGet(list); });
  }

  Options& options_;
  std::function<int()>& run_;
};

}  // namespace

void AddCommands(CLI::App& app, std::function<int()>& run) {
  // Callbacks hold on to both.
  const auto options = std::make_shared<Options>();
  const auto builder = std::make_shared<Builder>(*options, run);
  builder->Login(app);
  builder->Top(app);
  CLI::App* const admin = app.add_subcommand("admin", "manage a running server: limits, keys, revisions, audit");
  admin->require_subcommand(1);
  admin->footer(kExitCodes);
  admin->final_callback([options, builder] {});
  builder->Contexts(*admin);
  builder->Records(*admin);
  builder->Revisions(*admin);
  builder->Decisions(*admin);
  builder->Keys(*admin);
  builder->Tokens(*admin);
  builder->Looking(*admin);
  builder->Documents(*admin);
  builder->Backups(*admin);
}

}  // namespace weir::cli::admin
