-- The demo's shop: one row per order, and what it was generated with.
create table orders (
    id integer primary key,
    tenant text not null,
    day text not null,
    channel text not null,
    product text not null,
    quantity integer not null,
    total_cents integer not null
);
create index orders_by_tenant on orders (tenant, channel);
create table generated (orders integer not null, generation integer not null, until text not null);
