-- Sign-ins at the page that were ended before their time. A sign-in is a sealed cookie
-- in somebody's browser; a copy of it would otherwise be good until it ends by itself.
create table sync_ended_sign_ins (
    -- The sign-in's own id. Or a person's `sub` at the issuer: that ends all of their
    -- sign-ins that began before.
    whose text primary key,
    ended_at timestamptz not null default now()
);
