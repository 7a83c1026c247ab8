SET LOCAL ROLE billfleet_owner;

CREATE TABLE fleet.workers (
  worker_id  text NOT NULL,
  host       text NOT NULL,
  pid        integer NOT NULL,
  version    text NOT NULL,
  workers    text[] NOT NULL,
  started_at timestamptz NOT NULL,
  beat_at    timestamptz NOT NULL,
  detail     jsonb NOT NULL,
  CONSTRAINT pk_workers PRIMARY KEY (worker_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE fleet.workers IS 'The processes of the fleet, each by its latest beat. A process that ends well takes its row along.';
COMMENT ON COLUMN fleet.workers.detail IS 'Memory, lag, problems, and for each queue what is in flight and what was done since the start.';

CREATE TABLE fleet.deliveries (
  delivery_id   bigint GENERATED ALWAYS AS IDENTITY,
  at            timestamptz NOT NULL,
  queue         text NOT NULL,
  message_id    text NOT NULL,
  event_id      text,
  event_type    text NOT NULL,
  tenant_id     text,
  source        text,
  dedupe_key    text,
  outcome       text NOT NULL,
  note          text NOT NULL,
  error_class   text NOT NULL,
  receive_count integer NOT NULL,
  handle_ms     real NOT NULL,
  worker_id     text NOT NULL,
  CONSTRAINT pk_deliveries PRIMARY KEY (delivery_id),
  CONSTRAINT ck_deliveries_outcome CHECK (outcome IN ('done', 'duplicate', 'retry', 'poison'))
);
COMMENT ON TABLE fleet.deliveries IS 'How deliveries ended, written with the beats and so never on a message''s way. No proof: a process that is killed takes its last seconds along, and of a flood the newest are kept. Pruned after days.';
COMMENT ON COLUMN fleet.deliveries.note IS 'What the handler counted, or why it ended in a retry or as poison.';
CREATE INDEX ix_deliveries_event ON fleet.deliveries (event_id);
CREATE INDEX ix_deliveries_message ON fleet.deliveries (message_id);
CREATE INDEX ix_deliveries_at ON fleet.deliveries (at);
CREATE INDEX ix_deliveries_setbacks ON fleet.deliveries (delivery_id) WHERE outcome IN ('retry', 'poison');

CREATE TABLE fleet.actions (
  action_id   bigint GENERATED ALWAYS AS IDENTITY,
  begun_at    timestamptz NOT NULL,
  operator    text NOT NULL,
  session     text NOT NULL,
  verb        text NOT NULL,
  target      text NOT NULL,
  asked       jsonb NOT NULL,
  result      text,
  is_well     boolean,
  answer      jsonb,
  finished_at timestamptz,
  CONSTRAINT pk_actions PRIMARY KEY (action_id),
  CONSTRAINT ck_actions_finished CHECK ((finished_at IS NULL) = (result IS NULL))
);
COMMENT ON TABLE fleet.actions IS 'Who did what through the console, when, and what came of it. Written before the action begins; finished once, and never deleted.';

CREATE FUNCTION fleet.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.finished_at IS NULL THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% of action % is refused: what was done stays written', TG_OP, OLD.action_id
    USING ERRCODE = 'restrict_violation',
          CONSTRAINT = 'append_only_actions',
          SCHEMA = TG_TABLE_SCHEMA,
          TABLE = TG_TABLE_NAME;
END
$$;
CREATE TRIGGER actions_kept BEFORE UPDATE OR DELETE ON fleet.actions
  FOR EACH ROW EXECUTE FUNCTION fleet.refuse_rewriting();
CREATE TRIGGER actions_no_truncate BEFORE TRUNCATE ON fleet.actions
  FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
ALTER TABLE fleet.actions ENABLE ALWAYS TRIGGER actions_kept;
ALTER TABLE fleet.actions ENABLE ALWAYS TRIGGER actions_no_truncate;

-- From the id of a message to its effects. A message's rows stand together under one key, so the
-- index grows by a page now and then, and stays small.
CREATE INDEX ix_transfers_work ON billing.transfers (work_id);
CREATE INDEX ix_attempts_work ON billing.attempts (work_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON fleet.workers TO billfleet_app;
GRANT SELECT, DELETE ON fleet.deliveries TO billfleet_app;
GRANT INSERT (at, queue, message_id, event_id, event_type, tenant_id, source, dedupe_key, outcome, note,
              error_class, receive_count, handle_ms, worker_id)
  ON fleet.deliveries TO billfleet_app;
GRANT SELECT ON fleet.actions TO billfleet_app;
GRANT INSERT (begun_at, operator, session, verb, target, asked) ON fleet.actions TO billfleet_app;
GRANT UPDATE (result, is_well, answer, finished_at) ON fleet.actions TO billfleet_app;

RESET ROLE;
