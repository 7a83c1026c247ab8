CREATE SCHEMA mail AUTHORIZATION billfleet_owner;

SET LOCAL ROLE billfleet_owner;

COMMENT ON SCHEMA mail IS 'Mails: who asked, what was sent, what came back, and who gets none.';

CREATE TABLE business.contacts (
  tenant_id  text NOT NULL,
  contact_id text NOT NULL,
  name       text NOT NULL,
  email      text NOT NULL,
  locale     text NOT NULL DEFAULT 'en-US',
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_contacts PRIMARY KEY (tenant_id, contact_id),
  CONSTRAINT fk_contacts_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants
);
COMMENT ON TABLE business.contacts IS 'People of a tenant that mails may go to: reports, exports.';

ALTER TABLE business.tenants ADD COLUMN mail jsonb NOT NULL DEFAULT '{}';
ALTER TABLE business.tenants ADD CONSTRAINT ck_tenants_mail CHECK (jsonb_typeof(mail) = 'object');
COMMENT ON COLUMN business.tenants.mail IS 'Which facts the tenant''s customers are mailed: {"receipt": true}. What is not named follows the house.';

CREATE TABLE mail.mails (
  tenant_id      text NOT NULL,
  mail_id        uuid NOT NULL,
  mail_key       text NOT NULL,
  template       text NOT NULL,
  category       text NOT NULL,
  recipient_kind text NOT NULL,
  recipient_id   text NOT NULL,
  address        text,
  locale         text,
  subject        text,
  state          text NOT NULL,
  reason         text,
  attempts       integer NOT NULL DEFAULT 0,
  maybe_twice    boolean NOT NULL DEFAULT false,
  lease_token    text,
  leased_until   timestamptz,
  service_id     text,
  object_key     text,
  work_id        text NOT NULL,
  prepared_at    timestamptz NOT NULL,
  sent_at        timestamptz,
  concluded_at   timestamptz,
  delivered_at   timestamptz,
  bounced_at     timestamptz,
  complained_at  timestamptz,
  CONSTRAINT pk_mails PRIMARY KEY (tenant_id, mail_id),
  CONSTRAINT uq_mails_key UNIQUE (tenant_id, mail_key),
  CONSTRAINT fk_mails_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_mails_category CHECK (category IN ('transactional', 'marketing')),
  CONSTRAINT ck_mails_recipient_kind CHECK (recipient_kind IN ('customer', 'account', 'contact')),
  CONSTRAINT ck_mails_state CHECK (state IN ('prepared', 'sending', 'sent', 'refused', 'uncertain')),
  CONSTRAINT ck_mails_attempts CHECK (attempts >= 0),
  CONSTRAINT ck_mails_sent CHECK (state <> 'sent' OR sent_at IS NOT NULL),
  CONSTRAINT ck_mails_reason CHECK ((state IN ('refused', 'uncertain')) = (reason IS NOT NULL))
) WITH (autovacuum_analyze_scale_factor = 0.02);
COMMENT ON TABLE mail.mails IS 'One row a mail, however often its message comes. It is written before the mail service is called.';
COMMENT ON COLUMN mail.mails.state IS 'prepared: not handed over. sending: handed over, no answer recorded yet. uncertain: handed over twice without an answer; never tried again.';
COMMENT ON COLUMN mail.mails.maybe_twice IS 'An earlier handing over got no answer, so the recipient may have two.';
COMMENT ON COLUMN mail.mails.service_id IS 'The mail service''s id, which bounces and complaints name.';
CREATE INDEX ix_mails_service_id ON mail.mails (service_id) WHERE service_id IS NOT NULL;
CREATE INDEX ix_mails_prepared_at ON mail.mails (tenant_id, prepared_at);
CREATE INDEX ix_mails_recipient ON mail.mails (tenant_id, recipient_kind, recipient_id, prepared_at);

CREATE TABLE mail.requests (
  tenant_id    text NOT NULL,
  request_id   text NOT NULL,
  account_id   text NOT NULL,
  state        text NOT NULL,
  duplicate_of text,
  last_sent_at timestamptz,
  next_from    timestamptz,
  reason       text,
  mail_key     text,
  work_id      text NOT NULL,
  asked_at     timestamptz NOT NULL,
  CONSTRAINT pk_requests PRIMARY KEY (tenant_id, request_id),
  CONSTRAINT fk_requests_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_requests_state CHECK (state IN ('accepted', 'duplicate', 'silent', 'superseded', 'refused')),
  CONSTRAINT ck_requests_duplicate CHECK (duplicate_of IS NULL OR state IN ('duplicate', 'superseded')),
  CONSTRAINT ck_requests_refused CHECK ((state = 'refused') = (reason IS NOT NULL))
);
COMMENT ON TABLE mail.requests IS 'What became of each request for due bills: what the one who asked is told.';
COMMENT ON COLUMN mail.requests.state IS 'accepted: a mail is on its way or was sent. silent: nothing was due, and by policy no mail says so. superseded: it waited so long that a later request went ahead.';
COMMENT ON COLUMN mail.requests.next_from IS 'From when the account may be mailed its bills again.';
CREATE INDEX ix_requests_account ON mail.requests (tenant_id, account_id, asked_at);

CREATE TABLE mail.suppressions (
  tenant_id     text NOT NULL,
  address       text NOT NULL,
  scope         text NOT NULL,
  reason        text NOT NULL,
  detail        text,
  mail_id       uuid,
  suppressed_at timestamptz NOT NULL,
  CONSTRAINT pk_suppressions PRIMARY KEY (tenant_id, address, scope),
  CONSTRAINT fk_suppressions_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants,
  CONSTRAINT ck_suppressions_address CHECK (address = lower(address)),
  CONSTRAINT ck_suppressions_scope CHECK (scope IN ('all', 'marketing')),
  CONSTRAINT ck_suppressions_reason CHECK (reason IN ('bounce', 'complaint', 'transient_bounces', 'unsubscribe', 'operator'))
);
COMMENT ON TABLE mail.suppressions IS 'Addresses to which a tenant sends nothing any more (all), or no marketing.';

CREATE TABLE mail.bounces (
  tenant_id  text NOT NULL,
  address    text NOT NULL,
  notice_id  text NOT NULL,
  bounced_at timestamptz NOT NULL,
  CONSTRAINT pk_bounces PRIMARY KEY (tenant_id, address, notice_id),
  CONSTRAINT fk_bounces_tenants FOREIGN KEY (tenant_id) REFERENCES business.tenants
);
COMMENT ON TABLE mail.bounces IS 'Transient bounces by recipient; enough of them within the window suppress the address.';

CREATE TABLE mail.notices (
  topic_arn   text NOT NULL,
  notice_id   text NOT NULL,
  kind        text NOT NULL,
  is_known    boolean NOT NULL,
  tenant_id   text,
  mail_id     uuid,
  body        jsonb NOT NULL,
  received_at timestamptz NOT NULL,
  CONSTRAINT pk_notices PRIMARY KEY (topic_arn, notice_id)
);
COMMENT ON TABLE mail.notices IS 'What the mail service told us, once each; unknown kinds are kept as they came.';
CREATE INDEX ix_notices_mail ON mail.notices (tenant_id, mail_id) WHERE mail_id IS NOT NULL;

GRANT USAGE ON SCHEMA mail TO billfleet_app;
GRANT SELECT, INSERT, UPDATE ON business.contacts TO billfleet_app;
GRANT SELECT, INSERT ON mail.mails TO billfleet_app;
GRANT UPDATE (address, locale, subject, state, reason, attempts, maybe_twice, lease_token, leased_until,
              service_id, object_key, sent_at, concluded_at, delivered_at, bounced_at, complained_at)
  ON mail.mails TO billfleet_app;
GRANT SELECT, INSERT ON mail.requests TO billfleet_app;
GRANT UPDATE (state, duplicate_of, last_sent_at, next_from, reason) ON mail.requests TO billfleet_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON mail.suppressions TO billfleet_app;
GRANT SELECT, INSERT, DELETE ON mail.bounces TO billfleet_app;
GRANT SELECT, INSERT ON mail.notices TO billfleet_app;

RESET ROLE;
