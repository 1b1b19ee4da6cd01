#include "storage/postgres/schema.h"

#include <string_view>
#include <utility>

#include "base/hash.h"
#include "base/log.h"

namespace weir::storage::postgres {
namespace {

using io::postgres::ServerError;
using io::postgres::Type;

// @S@ is the schema. Settings of a function hold for its statements alone; those that set_config() makes with `true`
// end with the transaction.
//
// state: no index but the key's, so that an update of a row touches no index (HOT), and room in each page for it.
//
// lock_v1: the rows of the keys, which come sorted, each locked or made: one order for everybody means no deadlock.
// write_v1, buckets_v1: one plan for any number of keys. Left to itself the server would plan each call anew, since it
// knows the length of the arrays then.
// buckets_v1: charges each key `more` ns where its bucket has room: the arithmetic of src/algorithms/gcra.h. `expires`
// of the row that is proposed is `at` + burst, which is how the condition knows the burst. Where there was no room the
// row is told as it is; its lock is held since, so it is the one that was looked at.
constexpr std::string_view kScript = R"sql(
DO $do$ BEGIN
  IF to_regnamespace('@S@') IS NULL THEN
    CREATE SCHEMA @S@;
  END IF;
END $do$;
CREATE TABLE IF NOT EXISTS @S@.meta (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  needs integer NOT NULL,
  probed timestamptz
);
CREATE @UNLOGGED@TABLE IF NOT EXISTS @S@.state (
  key uuid NOT NULL,
  word bigint NOT NULL,
  expires bigint NOT NULL,
  kind smallint NOT NULL,
  list bytea,
  CONSTRAINT state_pkey PRIMARY KEY (key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE UNLOGGED TABLE IF NOT EXISTS @S@.alive (one boolean PRIMARY KEY DEFAULT true CHECK (one));

CREATE OR REPLACE FUNCTION @S@.lock_v1(keys uuid[], wait_ms bigint, idle_ms bigint, quick boolean)
RETURNS TABLE (found_key uuid, found_word bigint, found_kind smallint, found_list bytea)
LANGUAGE plpgsql SET enable_seqscan = off AS $fn$
BEGIN
  PERFORM set_config('lock_timeout', wait_ms::text, true),
          set_config('idle_in_transaction_session_timeout', idle_ms::text, true);
  IF quick THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;
  FOREACH found_key IN ARRAY keys LOOP
    LOOP
      SELECT s.word, s.kind, s.list INTO found_word, found_kind, found_list
        FROM @S@.state s WHERE s.key = found_key FOR UPDATE;
      EXIT WHEN FOUND;
      INSERT INTO @S@.state VALUES (found_key, 0, 0, 0, NULL) ON CONFLICT DO NOTHING;
      IF FOUND THEN
        found_word := 0;
        found_kind := 0;
        found_list := NULL;
        EXIT;
      END IF;
    END LOOP;
    RETURN NEXT;
  END LOOP;
END $fn$;

CREATE OR REPLACE FUNCTION @S@.write_v1(keys uuid[], words bigint[], ends bigint[], kinds smallint[], lists bytea[],
                                        gone uuid[])
RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  SET plan_cache_mode = force_generic_plan AS $fn$
BEGIN
  IF cardinality(keys) > 0 THEN
    UPDATE @S@.state s SET word = u.word, expires = u.ends, kind = u.kind, list = u.list
      FROM unnest(keys, words, ends, kinds, lists) AS u(key, word, ends, kind, list) WHERE s.key = u.key;
  END IF;
  IF cardinality(gone) > 0 THEN
    DELETE FROM @S@.state s USING unnest(gone) AS u(key) WHERE s.key = u.key;
  END IF;
END $fn$;

CREATE OR REPLACE FUNCTION @S@.buckets_v1(at bigint, keys uuid[], more bigint[], burst bigint[], kinds smallint[],
                                          wait_ms bigint, quick boolean)
RETURNS TABLE (found_key uuid, found_word bigint, charged boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  SET plan_cache_mode = force_generic_plan AS $fn$
DECLARE
  told bigint;
BEGIN
  PERFORM set_config('lock_timeout', wait_ms::text, true);
  IF quick THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;
  RETURN QUERY
    INSERT INTO @S@.state AS s (key, word, expires, kind, list)
      SELECT u.key, at + u.more, at + u.burst, u.kind, NULL::bytea
        FROM unnest(keys, more, burst, kinds) AS u(key, more, burst, kind)
      ON CONFLICT ON CONSTRAINT state_pkey DO UPDATE
        SET word = greatest(s.word, at) + (excluded.word - at), expires = greatest(s.expires, excluded.expires),
            kind = excluded.kind, list = NULL
        WHERE s.word <= excluded.expires - (excluded.word - at)
      RETURNING s.key, s.word, true;
  GET DIAGNOSTICS told = ROW_COUNT;
  IF told < cardinality(keys) THEN
    RETURN QUERY SELECT s.key, s.word, false FROM unnest(keys) AS u(key) JOIN @S@.state s ON s.key = u.key;
  END IF;
END $fn$;

CREATE OR REPLACE FUNCTION @S@.sweep_v1(before bigint, first_block bigint, blocks bigint, most bigint)
RETURNS TABLE (next_block bigint, removed bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $fn$
DECLARE
  total bigint := pg_relation_size('@S@.state') / current_setting('block_size')::bigint;
  start tid := format('(%s,0)', first_block)::tid;
  stop tid := format('(%s,0)', first_block + blocks)::tid;
BEGIN
  removed := 0;
  next_block := first_block;
  -- One instance at a time is enough.
  IF pg_try_advisory_xact_lock(@SWEEP@) THEN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM @S@.state WHERE ctid = ANY (ARRAY(
      SELECT s.ctid FROM @S@.state s WHERE s.ctid >= start AND s.ctid < stop AND s.expires < before
        LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS removed = ROW_COUNT;
  END IF;
  -- A full batch: there may be more in these blocks.
  IF removed < most THEN
    next_block := CASE WHEN first_block + blocks >= total THEN 0 ELSE first_block + blocks END;
  END IF;
  RETURN NEXT;
END $fn$;

INSERT INTO @S@.alive VALUES (true) ON CONFLICT DO NOTHING;
INSERT INTO @S@.meta (version, needs) VALUES (@VERSION@, 1)
  ON CONFLICT (one) DO UPDATE SET version = greatest(meta.version, excluded.version);
)sql";

constexpr std::string_view kGrants = R"sql(
GRANT USAGE ON SCHEMA @S@ TO @R@;
GRANT SELECT, INSERT, UPDATE, DELETE ON @S@.state, @S@.alive TO @R@;
GRANT SELECT, UPDATE ON @S@.meta TO @R@;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA @S@ TO @R@;
)sql";

std::string Filled(std::string_view text, std::initializer_list<std::pair<std::string_view, std::string>> values) {
  std::string out(text);
  for (const auto& [name, value] : values) {
    for (std::size_t at = out.find(name); at != std::string::npos; at = out.find(name, at + value.size())) {
      out.replace(at, name.size(), value);
    }
  }
  return out;
}

// Names are plain (Validate), but may be words of SQL.
std::string Quoted(const std::string& name) { return "\"" + name + "\""; }

// A number of our own among the database's advisory locks.
std::string LockOf(std::string_view purpose, const std::string& schema) {
  return std::to_string(static_cast<std::int64_t>(Hash64("weir " + std::string(purpose) + " " + schema)));
}

std::string Script(const std::string& schema, Durability durability) {
  return Filled(kScript, {{"@S@", Quoted(schema)},
                          {"@UNLOGGED@", durability == Durability::kUnlogged ? "UNLOGGED " : ""},
                          {"@SWEEP@", LockOf("sweep", schema)},
                          {"@VERSION@", std::to_string(kSchemaVersion)}});
}

// What the schema says of itself; nothing of it is there: both 0.
struct Found {
  std::int64_t version = 0, needs = 0;
  bool unlogged = false;
};

Result<Found> Look(io::postgres::Session& session, const std::string& schema, Nanos deadline) {
  const std::string exists = "SELECT to_regclass('" + Quoted(schema) + ".meta') IS NOT NULL";
  auto rows = session.Run({exists, {}}, deadline);
  if (!rows) return std::unexpected(rows.error());
  if (!rows->Have({Type::kBool}) || rows->size() != 1) return Fail(ErrorCode::kUnavailable, "this is no PostgreSQL");
  if (!rows->Bool(0, 0)) return Found();
  const std::string version =
      "SELECT m.version, m.needs, (SELECT c.relpersistence = 'u' FROM pg_class c WHERE c.oid = '" + Quoted(schema) +
      ".state'::regclass) FROM " + Quoted(schema) + ".meta m";
  rows = session.Run({version, {}}, deadline);
  if (!rows) return std::unexpected(rows.error());
  if (!rows->Have({Type::kInt32, Type::kInt32, Type::kBool}) || rows->size() > 1) {
    return Fail(ErrorCode::kFailedPrecondition, "the table " + schema + ".meta is not weir's");
  }
  if (rows->size() == 0) return Found();
  return Found{.version = rows->Int(0, 0), .needs = rows->Int(0, 1), .unlogged = rows->Bool(0, 2)};
}

Result<> Make(io::postgres::Session& session, const PostgresStoreOptions& options, Nanos deadline) {
  const std::string script = "BEGIN; SELECT pg_advisory_xact_lock(" + LockOf("schema", options.schema) + ");" +
                             Script(options.schema, options.durability) + "COMMIT;";
  ServerError error;
  auto made = session.RunScript(script, deadline, &error);
  if (made) {
    log::Info("postgres schema is ready", {{"schema", options.schema}, {"version", std::to_string(kSchemaVersion)}});
    return made;
  }
  if (error.code == "42501") {
    return Fail(ErrorCode::kFailedPrecondition,
                "this role may not create the schema (" + error.message +
                    "): let one that may run what `weir storage schema` prints, and say create_schema: false");
  }
  return made;
}

}  // namespace

Statements::Statements(const std::string& schema) {
  const auto with = [&](std::string_view text) { return Filled(text, {{"@S@", Quoted(schema)}}); };
  lock = with("SELECT * FROM @S@.lock_v1($1, $2, $3, $4 <> 0)");
  write = with("SELECT FROM @S@.write_v1($1, $2, $3, $4, $5, $6)");
  buckets = with("SELECT * FROM @S@.buckets_v1($1, $2, $3, $4, $5, $6, $7 <> 0)");
  read = with("SELECT key, word, kind, list FROM @S@.state WHERE key = ANY($1)");
  // A write, so that a standby, a full disk and a server that hangs on its disk are told from one that serves.
  probe = with("UPDATE @S@.meta SET probed = clock_timestamp()");
  clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
  sweep = with("SELECT * FROM @S@.sweep_v1($1, $2, $3, $4)");
  watch = with(
      "SELECT pg_total_relation_size('@S@.state'), coalesce(max(t.n_live_tup), 0)::bigint, "
      "coalesce(max(t.n_dead_tup), 0)::bigint, (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - "
      "a.xact_start)), 0)::bigint FROM pg_stat_activity a WHERE a.backend_xmin IS NOT NULL) "
      "FROM pg_stat_user_tables t WHERE t.relid = '@S@.state'::regclass");
  scan = with("SELECT key, word, kind, list, expires FROM @S@.state WHERE key > $1 AND kind > 0 ORDER BY key LIMIT $2");
  get = with("SELECT key, word, kind, list, expires FROM @S@.state WHERE key = $1 AND kind > 0");
  reset = with("DELETE FROM @S@.state WHERE key = $1 AND kind > 0 RETURNING expires, word, kind");
  import = with(
      "INSERT INTO @S@.state AS s (key, word, expires, kind, list) SELECT * FROM unnest($1, $2, $3, $4, $5) "
      "ON CONFLICT ON CONSTRAINT state_pkey DO UPDATE SET word = excluded.word, expires = excluded.expires, "
      "kind = excluded.kind, list = excluded.list WHERE s.expires < $6 RETURNING s.key");
}

Result<> PrepareSchema(io::postgres::Session& session, const PostgresStoreOptions& options, Nanos deadline,
                       bool& emptied) {
  emptied = false;
  if (session.server_version() < kOldestServer) {
    return Fail(ErrorCode::kFailedPrecondition, "PostgreSQL 13 or newer is needed");
  }
  auto found = Look(session, options.schema, deadline);
  if (!found) return std::unexpected(found.error());
  if (found->version < kSchemaVersion) {
    if (!options.create_schema) {
      return Fail(ErrorCode::kFailedPrecondition, "the schema " + options.schema +
                                                      " is missing or older than this weir: let a role that may run "
                                                      "what `weir storage schema` prints");
    }
    if (auto made = Make(session, options, deadline); !made) return made;
    found = Look(session, options.schema, deadline);
    if (!found) return std::unexpected(found.error());
  }
  if (found->needs > kSchemaVersion) {
    return Fail(ErrorCode::kFailedPrecondition, "the schema " + options.schema + " needs a newer weir");
  }
  if (found->unlogged != (options.durability == Durability::kUnlogged)) {
    log::Warn("the table of states is not as durable as configured: ALTER TABLE ... SET LOGGED or UNLOGGED changes it",
              {{"table", options.schema + ".state"}, {"unlogged", found->unlogged ? "true" : "false"}});
  }
  if (!found->unlogged) return {};
  const std::string alive =
      "INSERT INTO " + Quoted(options.schema) + ".alive VALUES (true) ON CONFLICT DO NOTHING RETURNING one";
  auto rows = session.Run({alive, {}}, deadline);
  if (!rows) return std::unexpected(rows.error());
  emptied = rows->size() > 0;
  if (emptied) {
    log::Warn("the server crashed and has emptied its unlogged table: counts begin anew",
              {{"table", options.schema + ".state"}});
  }
  return {};
}

std::string SchemaScript(const std::string& schema, Durability durability, const std::string& role) {
  std::string script =
      "BEGIN;\nSELECT pg_advisory_xact_lock(" + LockOf("schema", schema) + ");" + Script(schema, durability);
  if (!role.empty()) script += Filled(kGrants, {{"@S@", Quoted(schema)}, {"@R@", Quoted(role)}});
  return script + "COMMIT;\n";
}

}  // namespace weir::storage::postgres
