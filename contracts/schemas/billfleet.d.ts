// Generated from the catalogue by `make schemas`; do not edit.

/** A CloudEvents 1.0 message in JSON format, as it stands in the body of an SQS or SNS message. */
export interface Message<Type extends string, Data> {
  specversion: "1.0";
  /** The message's identity: a UUID, for example. */
  id: string;
  /** Who produces it, such as "/shop/checkout". */
  source: string;
  type: Type;
  /** What it is about, such as the account. */
  subject?: string;
  /** RFC 3339, with an offset. */
  time: string;
  datacontenttype?: "application/json";
  dataschema?: string;
  /** W3C Trace Context. */
  traceparent?: string;
  /** Whose work it is. */
  tenant: string;
  /** What makes two messages the same work; unique within its tenant. */
  dedupekey: string;
  data: Data;
}

/**
 * One period of one account, named by the day on which it starts.
 *
 * `generation` counts how often the account's schedule was reset; a message of an older
 * generation is stale.
 */
export interface AccountPeriod {
  account_id: string;
  period_start: string;
  generation?: number;
}

/** Fact: a period was charged to the ledger and the account's next date was set. */
export interface AccountRebilled {
  account_id: string;
  period_start: string;
  period_end: string;
  amount_minor: number;
  currency: string;
  next_period_on: string;
  transfer_id: number;
}

/** Request: credit a purchase to a card. `redeemed_minor` of it was paid with points. */
export interface AddPoints {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  amount_minor: number;
  currency: string;
  store_id?: string | null;
  redeemed_minor?: number;
}

/** One finished picture: a square of so many pixels, in the files bucket. */
export interface AvatarImage {
  size_px: number;
  object_key: string;
  content_type: "image/jpeg" | "image/png" | "image/webp";
  bytes_count: number;
}

/** Fact: an upload was a good picture, and these are its sizes. */
export interface AvatarReady {
  customer_id: string;
  upload_id: string;
  images: Array<AvatarImage>;
}

/** Fact: an upload was not taken: no picture, too large, or of nobody that we know. */
export interface AvatarRefused {
  customer_id: string;
  upload_id: string;
  reason: string;
}

/**
 * Request: take back a transaction of the card, or a part of it.
 *
 * `quantity` counts what the cancelled transaction counts: minor units of a purchase, points of
 * a redemption, stamps of a visit. None: all that is not cancelled yet.
 */
export interface CancelTransaction {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  cancels: string;
  quantity?: number | null;
}

/**
 * One bill to collect, and which attempt at it is meant.
 *
 * `check_no` tells repeated questions about the same unresolved attempt apart.
 */
export interface ChargeRef {
  account_id: string;
  period_start: string;
  attempt_no: number;
  check_no?: number;
}

/** Request: collect these bills, all of one tenant, through the payment gateway. */
export interface CollectPayments {
  charges: Array<ChargeRef>;
}

/** Request: bring this delivery to its endpoint, unless it has arrived already. */
export interface DeliverWebhook {
  endpoint_id: string;
  delivery_id: string;
}

/** Fact: this is what the account owes, and it may be mailed. No bills: nothing is due. */
export interface DueBillsReady {
  account_id: string;
  request_id: string;
  bills?: Array<OpenBill>;
}

/** Request: mail the account what it owes. Within an hour of the last such mail: a duplicate. */
export interface DueBillsRequested {
  account_id: string;
  request_id: string;
}

/**
 * How a purchase earns: `points` for each `per_minor` of its currency, rounded once (R66).
 *
 * `earns_on_redeemed`: whether the part that was paid with points or vouchers earns as well.
 */
export interface Earning {
  points?: number;
  per_minor: number;
  currency: string;
  rounding?: "floor" | "half_up" | "ceiling";
  minimum_spend_minor?: number;
  cap_per_day?: number | null;
  earns_on_redeemed?: boolean;
}

/**
 * Fact: something happened at a front end that a tenant wants counted.
 *
 * `event_id` is unique within `source` and for ever: the same pair twice is one event, and with
 * other content it is a mistake of the source, which is kept aside and never counted. A brand that
 * is left out is the store's at the moment of counting; one that is named stands, whatever the
 * store's is.
 */
export interface EventTracked {
  name: string;
  event_id: string;
  source?: string;
  occurred_at: string;
  customer_id?: string | null;
  brand_id?: string | null;
  store_id?: string | null;
  amount_minor?: number | null;
  currency?: string | null;
  properties?: Record<string, unknown>;
}

/** How long points live: to the end of the day so many months or days later, tenant's zone. */
export interface Expiry {
  months?: number;
  days?: number;
}

/** Fact: there will be no file, and why. `cancelled` was somebody's wish and is no failure. */
export interface ExportFailed {
  notify_contact_id?: string | null;
  notify_customer_id?: string | null;
  export_id: string;
  dataset: string;
  format: "csv" | "ndjson" | "parquet" | "xlsx" | "pdf";
  reason: string;
  cancelled?: boolean;
}

/** Fact: the file is complete and can be opened until it expires. */
export interface ExportReady {
  notify_contact_id?: string | null;
  notify_customer_id?: string | null;
  export_id: string;
  file_id: string;
  file_name: string;
  dataset: string;
  format: "csv" | "ndjson" | "parquet" | "xlsx" | "pdf";
  rows: number;
  bytes_count: number;
  expires_at: string;
}

/**
 * Request: write these rows of a data set, as they are at one instant, into a file.
 *
 * Values of filters are written as text (`2026-01-31`, `EUR`, `acc-1`). No columns: all of them.
 */
export interface ExportRequested {
  notify_contact_id?: string | null;
  notify_customer_id?: string | null;
  export_id: string;
  dataset: string;
  format: "csv" | "ndjson" | "parquet" | "xlsx" | "pdf";
  filters?: Record<string, unknown>;
  columns?: Array<string>;
  locale?: string;
}

/** Request: stamp a card for so many visits; the programme says how many stamps that is. */
export interface IssueStamps {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  store_id?: string | null;
  visits?: number;
}

/** Fact: a transaction was refused and changed nothing; its id is used up. */
export interface LoyaltyRefused {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  reason: string;
}

/** Fact: a mail will not be sent, and why. */
export interface MailRefused {
  mail_id: string;
  template: string;
  recipient: Recipient;
  refused_at: string;
  reason: "no_address" | "bad_address" | "suppressed" | "no_consent" | "no_recipient" | "rejected" | "superseded" | "uncertain";
}

/** Fact: the mail service accepted a mail. `maybe_twice`: an earlier try may have gone too. */
export interface MailSent {
  mail_id: string;
  template: string;
  recipient: Recipient;
  sent_at: string;
  attempts?: number;
  maybe_twice?: boolean;
}

/**
 * Multiplies what is earned where all of its conditions hold; an empty one always holds.
 *
 * `weekdays` are ISO days (1 is Monday) in the tenant's zone. A campaign is a multiplier with
 * `starts_at` and `ends_at`: it holds from the first instant and no longer at the second.
 */
export interface Multiplier {
  name: string;
  percent: number;
  stores?: Array<string>;
  weekdays?: Array<number>;
  tiers?: Array<string>;
  starts_at?: string | null;
  ends_at?: string | null;
}

/**
 * Fact from S3: an object was written. `notice` is `test` for the one that S3 sends by itself.
 *
 * `etag` tells two uploads under one key apart; S3 announces either more than once.
 */
export interface ObjectStored {
  notice?: "created" | "test";
  bucket: string;
  key: string;
  bytes_count: number;
  etag?: string;
}

/** A bill that was open when the mail was prepared, and the file that shows it. */
export interface OpenBill {
  period_start: string;
  period_end: string;
  amount_minor: number;
  currency: string;
  file_id?: string | null;
}

/** Fact: the gateway declined an attempt. `next_attempt_at` is None when none will follow. */
export interface PaymentFailed {
  account_id: string;
  period_start: string;
  attempt_no: number;
  amount_minor: number;
  currency: string;
  gateway: string;
  decline_code: string;
  decline_kind: "soft" | "hard";
  next_attempt_at?: string | null;
  account_state: "PENDING" | "ACTIVE" | "PAST_DUE" | "INACTIVE";
}

/** Request: take in what a gateway's webhook said about an attempt. */
export interface PaymentReported {
  gateway: string;
  gateway_event_id: string;
  attempt_key: string;
  result: "succeeded" | "declined";
  gateway_reference?: string | null;
  decline_code?: string | null;
  occurred_at: string;
}

/** Fact: a bill was paid, and the payment is in the ledger. */
export interface PaymentSucceeded {
  account_id: string;
  period_start: string;
  attempt_no: number;
  amount_minor: number;
  currency: string;
  gateway: string;
  gateway_reference?: string | null;
  transfer_id: number;
}

/** Fact: what was left of a lot has expired; `lot` is the transaction that issued it. */
export interface PointsExpired {
  card_id: string;
  lot: string;
  points: number;
  expired_at: string;
}

/**
 * Fact: points of a card end soon; told once for each warning that the programme has.
 *
 * `expires_on` is the tenant's last day on which they can be spent, `expires_at` the instant at
 * which they no longer can. `warn_days` is the warning: the points end within so many days.
 */
export interface PointsExpiring {
  card_id: string;
  customer_id: string;
  programme_id: string;
  points: number;
  expires_on: string;
  expires_at: string;
  warn_days: number;
}

/** Fact: a purchase was credited; from `available_at` on its points can be spent. */
export interface PointsIssued {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  points: number;
  recovered?: number;
  available_at: string;
  expires_at?: string | null;
  rules_version: number;
}

/** Fact: a reward was handed out for so many points; none where a voucher paid. */
export interface PointsRedeemed {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  reward_id: string;
  points: number;
}

/**
 * Fact: a transaction was cancelled, wholly or in part.
 *
 * Of an earning: `taken` came off its lot, `owed` had been spent and is a debt now, `void` had
 * expired already. Of a redemption: `returned` came back. Of stamps: `stamps` were taken back.
 */
export interface PointsReversed {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  cancels: string;
  taken?: number;
  owed?: number;
  void?: number;
  returned?: number;
  expired?: number;
  stamps?: number;
  is_final: boolean;
}

/**
 * All rules of one version of a programme.
 *
 * Attributes:
 * earning: what purchases earn; without it they earn nothing.
 * multipliers: applied to what is earned.
 * stacking: `multiply` takes all that hold, `best` only the largest.
 * stamps: the stamp card, if there is one.
 * tiers: the levels, if there are any.
 * expiry: when points end; without it never.
 * pending_days: how long after a purchase its points are not yet spendable (R67).
 * burn_priority: lots with a smaller number are spent first (R57).
 * debt: what becomes of points that were spent before their purchase was returned (R62):
 * the balance goes below zero, or they are owed beside it. Both are recovered.
 * grace_days: points that come back to a lot which has expired meanwhile live so long
 * again; 0 lets them expire at once (R61).
 */
export interface ProgrammeRules {
  earning?: Earning | null;
  multipliers?: Array<Multiplier>;
  stacking?: "multiply" | "best";
  stamps?: Stamps | null;
  tiers?: Tiers | null;
  expiry?: Expiry | null;
  pending_days?: number;
  burn_priority?: number;
  debt?: "negative_balance" | "receivable";
  grace_days?: number;
}

/**
 * Request: bring these transactions of one tenant into the table that front ends look them up
 * in. What they say is read on handling.
 */
export interface ProjectTransactions {
  transaction_ids: Array<string>;
}

/** Request: bill these periods, all of one tenant; price and plan are read on handling. */
export interface RebillAccounts {
  as_of: string;
  accounts: Array<AccountPeriod>;
}

/** Who a mail goes to: a customer, an account's customer, or a person of the tenant. */
export interface Recipient {
  customer_id?: string | null;
  account_id?: string | null;
  contact_id?: string | null;
}

/** Request: exchange points, or a voucher from a full stamp card, for a reward. */
export interface RedeemReward {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  reward_id: string;
  pay_with?: "points" | "voucher";
  store_id?: string | null;
}

/** Fact: a report lies in the object store as a file; one of these per contact that reads it. */
export interface ReportReady {
  report_id: string;
  file_id: string;
  contact_id: string;
  title: string;
  report?: "business";
  period: "day" | "week" | "month";
  first_day: string;
  last_day: string;
  as_of: string;
}

/**
 * Request: make this report of the period that begins on `first_day`, the tenant's own day.
 *
 * `as_of` gives the numbers as they were known at that instant; None: as known on handling.
 * Another `request_no` asks for the same report once more.
 */
export interface ReportRequested {
  report?: "business";
  period: "day" | "week" | "month";
  first_day: string;
  as_of?: string | null;
  request_no?: number;
}

/**
 * Request: send one mail made from a template of the fleet.
 *
 * `variables` fill the template. `mail_id` makes two requests the same mail; without it the
 * content does.
 */
export interface SendMail {
  template: string;
  recipient: Recipient;
  variables: Record<string, unknown>;
  mail_id?: string | null;
}

/** Request: from `valid_from` on, purchases of the programme follow these rules. */
export interface SetProgramme {
  programme_id: string;
  version: number;
  valid_from: string;
  rules: ProgrammeRules;
}

/**
 * Request: look at what Amazon SNS delivered, once its signature has been verified.
 *
 * The fields are those of the notification, spelt as they were signed.
 */
export interface SnsNotification {
  kind: string;
  message_id: string;
  topic_arn: string;
  message: string;
  notification_subject?: string | null;
  timestamp: string;
  signature_version: string;
  signature: string;
  signing_cert_url: string;
}

/** A stamp card: each visit gives `per_visit`, each full card of `size` gives the reward. */
export interface Stamps {
  size: number;
  reward_id: string;
  per_visit?: number;
}

/** Fact: a card was stamped; `vouchers` full cards were exchanged for the reward. */
export interface StampsIssued {
  card_id: string;
  transaction_id: string;
  occurred_at: string;
  stamps: number;
  vouchers: number;
  reward_id: string;
}

/** A level that a card has while it has earned `threshold` points within the window. */
export interface Tier {
  name: string;
  threshold: number;
}

/** Levels and the days over which points count towards them. Pending points don't (R67). */
export interface Tiers {
  window_days: number;
  levels: Array<Tier>;
}

export type EventTrackedMessage = Message<"billfleet.analytics.event_tracked.v1", EventTracked>;
export type ReportReadyMessage = Message<"billfleet.analytics.report_ready.v1", ReportReady>;
export type ReportRequestedMessage = Message<"billfleet.analytics.report_requested.v1", ReportRequested>;
export type AvatarReadyMessage = Message<"billfleet.avatars.avatar_ready.v1", AvatarReady>;
export type AvatarRefusedMessage = Message<"billfleet.avatars.avatar_refused.v1", AvatarRefused>;
export type ObjectStoredMessage = Message<"billfleet.avatars.object_stored.v1", ObjectStored>;
export type AccountRebilledMessage = Message<"billfleet.billing.account_rebilled.v1", AccountRebilled>;
export type CollectPaymentsMessage = Message<"billfleet.billing.collect_payments.v1", CollectPayments>;
export type PaymentFailedMessage = Message<"billfleet.billing.payment_failed.v1", PaymentFailed>;
export type PaymentReportedMessage = Message<"billfleet.billing.payment_reported.v1", PaymentReported>;
export type PaymentSucceededMessage = Message<"billfleet.billing.payment_succeeded.v1", PaymentSucceeded>;
export type RebillAccountsMessage = Message<"billfleet.billing.rebill_accounts.v1", RebillAccounts>;
export type ExportFailedMessage = Message<"billfleet.exports.export_failed.v1", ExportFailed>;
export type ExportReadyMessage = Message<"billfleet.exports.export_ready.v1", ExportReady>;
export type ExportRequestedMessage = Message<"billfleet.exports.export_requested.v1", ExportRequested>;
export type AddPointsMessage = Message<"billfleet.loyalty.add_points.v1", AddPoints>;
export type CancelTransactionMessage = Message<"billfleet.loyalty.cancel_transaction.v1", CancelTransaction>;
export type IssueStampsMessage = Message<"billfleet.loyalty.issue_stamps.v1", IssueStamps>;
export type LoyaltyRefusedMessage = Message<"billfleet.loyalty.loyalty_refused.v1", LoyaltyRefused>;
export type PointsExpiredMessage = Message<"billfleet.loyalty.points_expired.v1", PointsExpired>;
export type PointsExpiringMessage = Message<"billfleet.loyalty.points_expiring.v1", PointsExpiring>;
export type PointsIssuedMessage = Message<"billfleet.loyalty.points_issued.v1", PointsIssued>;
export type PointsRedeemedMessage = Message<"billfleet.loyalty.points_redeemed.v1", PointsRedeemed>;
export type PointsReversedMessage = Message<"billfleet.loyalty.points_reversed.v1", PointsReversed>;
export type ProjectTransactionsMessage = Message<"billfleet.loyalty.project_transactions.v1", ProjectTransactions>;
export type RedeemRewardMessage = Message<"billfleet.loyalty.redeem_reward.v1", RedeemReward>;
export type SetProgrammeMessage = Message<"billfleet.loyalty.set_programme.v1", SetProgramme>;
export type StampsIssuedMessage = Message<"billfleet.loyalty.stamps_issued.v1", StampsIssued>;
export type DueBillsReadyMessage = Message<"billfleet.mail.due_bills_ready.v1", DueBillsReady>;
export type DueBillsRequestedMessage = Message<"billfleet.mail.due_bills_requested.v1", DueBillsRequested>;
export type MailRefusedMessage = Message<"billfleet.mail.mail_refused.v1", MailRefused>;
export type MailSentMessage = Message<"billfleet.mail.mail_sent.v1", MailSent>;
export type SendMailMessage = Message<"billfleet.mail.send_mail.v1", SendMail>;
export type SnsNotificationMessage = Message<"billfleet.mail.sns_notification.v1", SnsNotification>;
export type DeliverWebhookMessage = Message<"billfleet.webhooks.deliver_webhook.v1", DeliverWebhook>;

export type AnyMessage =
  | EventTrackedMessage
  | ReportReadyMessage
  | ReportRequestedMessage
  | AvatarReadyMessage
  | AvatarRefusedMessage
  | ObjectStoredMessage
  | AccountRebilledMessage
  | CollectPaymentsMessage
  | PaymentFailedMessage
  | PaymentReportedMessage
  | PaymentSucceededMessage
  | RebillAccountsMessage
  | ExportFailedMessage
  | ExportReadyMessage
  | ExportRequestedMessage
  | AddPointsMessage
  | CancelTransactionMessage
  | IssueStampsMessage
  | LoyaltyRefusedMessage
  | PointsExpiredMessage
  | PointsExpiringMessage
  | PointsIssuedMessage
  | PointsRedeemedMessage
  | PointsReversedMessage
  | ProjectTransactionsMessage
  | RedeemRewardMessage
  | SetProgrammeMessage
  | StampsIssuedMessage
  | DueBillsReadyMessage
  | DueBillsRequestedMessage
  | MailRefusedMessage
  | MailSentMessage
  | SendMailMessage
  | SnsNotificationMessage
  | DeliverWebhookMessage;

/** What each queue carries, by its logical name. */
export interface Queues {
  "analytics": EventTrackedMessage;
  "collect": CollectPaymentsMessage | PaymentReportedMessage;
  "due-bills": DueBillsRequestedMessage;
  "email": SendMailMessage;
  "export": ExportRequestedMessage;
  "loyalty-view": ProjectTransactionsMessage;
  "loyalty.fifo": AddPointsMessage | CancelTransactionMessage | IssueStampsMessage | RedeemRewardMessage | SetProgrammeMessage;
  "mail-feedback": SnsNotificationMessage;
  "rebill": RebillAccountsMessage;
  "reports": ReportRequestedMessage;
  "uploads": ObjectStoredMessage;
  "webhooks": DeliverWebhookMessage;
}

/** What each topic carries, by its logical name. */
export interface Topics {
  "events": ReportReadyMessage | AvatarReadyMessage | AvatarRefusedMessage | AccountRebilledMessage | PaymentFailedMessage | PaymentSucceededMessage | ExportFailedMessage | ExportReadyMessage | LoyaltyRefusedMessage | PointsExpiredMessage | PointsExpiringMessage | PointsIssuedMessage | PointsRedeemedMessage | PointsReversedMessage | StampsIssuedMessage | DueBillsReadyMessage | MailRefusedMessage | MailSentMessage;
}
