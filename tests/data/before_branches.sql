-- A SQLite database of the standalone application, from when its migrations had no branches.
BEGIN TRANSACTION;
CREATE VIRTUAL TABLE apidevices_device_search
    USING fts5(key, content='', tokenize="trigram case_sensitive 1");
CREATE VIRTUAL TABLE apidevices_device_search_terms
    USING fts5vocab(apidevices_device_search, instance);
CREATE TABLE apidevices_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT apidevices_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "apidevices_alembic_version" VALUES('0003');
CREATE TABLE apidevices_api_tokens (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	prefix VARCHAR(16) NOT NULL, 
	digest BLOB NOT NULL, 
	scopes JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	last_used_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT apidevices_api_tokens_pkey PRIMARY KEY (id), 
	CONSTRAINT apidevices_api_tokens_digest_key UNIQUE (digest)
);
INSERT INTO "apidevices_api_tokens" VALUES(1,'Box office','apd_4ncqoV',X'2868AF041A78E173199AF9F1147A6CA484551906A7CC223004E9D58567C623FD','["devices:read"]','2026-11-23 09:00:00.000000',NULL,NULL,NULL);
CREATE TABLE apidevices_audit_log (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	subject VARCHAR(64) NOT NULL, 
	details JSON NOT NULL, 
	CONSTRAINT apidevices_audit_log_pkey PRIMARY KEY (id)
);
INSERT INTO "apidevices_audit_log" VALUES(1,'2026-11-23 09:00:00.000000','ann@example.org','token.created','token:1','{"name": "Box office", "scopes": ["devices:read"]}');
INSERT INTO "apidevices_audit_log" VALUES(2,'2026-11-23 09:00:00.000000','ann@example.org','device.renamed','device:1','{"old": null, "new": "Front desk"}');
INSERT INTO "apidevices_audit_log" VALUES(3,'2026-11-23 09:00:00.000000','ann@example.org','device.blocked','device:1','{"reason": "lost"}');
INSERT INTO "apidevices_audit_log" VALUES(4,'2026-11-23 09:00:00.000000','command line','user.created','user:1','{"email": "ann@example.org", "role": "admin"}');
CREATE TABLE apidevices_device_activity (
	device_id INTEGER NOT NULL, 
	blocked BOOLEAN NOT NULL, 
	last_active_at DATETIME NOT NULL, 
	last_upload_at DATETIME, 
	last_activity_at DATETIME NOT NULL, 
	denied_count BIGINT DEFAULT 0 NOT NULL, 
	last_denied_at DATETIME, 
	CONSTRAINT apidevices_device_activity_pkey PRIMARY KEY (device_id), 
	CONSTRAINT apidevices_device_activity_device_id_fkey FOREIGN KEY(device_id) REFERENCES apidevices_devices (id) ON DELETE CASCADE
);
INSERT INTO "apidevices_device_activity" VALUES(1,1,'2026-11-23 09:00:00.000000',NULL,'2026-11-23 09:00:00.000000',0,NULL);
CREATE TABLE apidevices_device_history (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	at DATETIME NOT NULL, 
	changes JSON NOT NULL, 
	token_id INTEGER, 
	address VARCHAR(64), 
	CONSTRAINT apidevices_device_history_pkey PRIMARY KEY (id), 
	CONSTRAINT apidevices_history_kind CHECK (kind IN ('registered', 'changed')), 
	CONSTRAINT apidevices_device_history_device_id_fkey FOREIGN KEY(device_id) REFERENCES apidevices_devices (id) ON DELETE CASCADE, 
	CONSTRAINT apidevices_device_history_token_id_fkey FOREIGN KEY(token_id) REFERENCES apidevices_api_tokens (id)
);
INSERT INTO "apidevices_device_history" VALUES(1,1,'registered','2026-11-23 09:00:00.000000','{"os": [null, "iOS"], "os_version": [null, "18"]}',1,'192.0.2.1');
CREATE TABLE apidevices_device_tokens (
	device_id INTEGER NOT NULL, 
	token_id INTEGER NOT NULL, 
	first_used_at DATETIME NOT NULL, 
	last_used_at DATETIME NOT NULL, 
	CONSTRAINT apidevices_device_tokens_pkey PRIMARY KEY (device_id, token_id), 
	CONSTRAINT apidevices_device_tokens_device_id_fkey FOREIGN KEY(device_id) REFERENCES apidevices_devices (id) ON DELETE CASCADE, 
	CONSTRAINT apidevices_device_tokens_token_id_fkey FOREIGN KEY(token_id) REFERENCES apidevices_api_tokens (id)
);
INSERT INTO "apidevices_device_tokens" VALUES(1,1,'2026-11-23 09:00:00.000000','2026-11-23 09:00:00.000000');
CREATE TABLE apidevices_devices (
	id INTEGER NOT NULL, 
	identifier VARCHAR(255) NOT NULL, 
	name VARCHAR(255), 
	application VARCHAR(255), 
	application_version VARCHAR(255), 
	os VARCHAR(255), 
	os_version VARCHAR(255), 
	manufacturer VARCHAR(255), 
	model VARCHAR(255), 
	first_seen_at DATETIME NOT NULL, 
	blocked_at DATETIME, 
	block_reason TEXT, 
	blocked_by TEXT, 
	search_key TEXT NOT NULL, 
	CONSTRAINT apidevices_devices_pkey PRIMARY KEY (id), 
	CONSTRAINT apidevices_devices_block_is_whole CHECK ((blocked_at IS NULL AND blocked_by IS NULL AND block_reason IS NULL) OR (blocked_at IS NOT NULL AND blocked_by IS NOT NULL)), 
	CONSTRAINT apidevices_devices_identifier_key UNIQUE (identifier)
);
INSERT INTO "apidevices_devices" VALUES(1,'phone-1','Front desk',NULL,NULL,'iOS','18',NULL,NULL,'2026-11-23 09:00:00.000000','2026-11-23 09:00:00.000000','lost','ann@example.org','front desk
phone-1');
CREATE TABLE apidevices_roles (
	id INTEGER NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	CONSTRAINT apidevices_roles_pkey PRIMARY KEY (id), 
	CONSTRAINT apidevices_roles_name_key UNIQUE (name)
);
INSERT INTO "apidevices_roles" VALUES(1,'admin');
CREATE TABLE apidevices_uploads (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	token_id INTEGER NOT NULL, 
	received_at DATETIME NOT NULL, 
	size INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT apidevices_uploads_pkey PRIMARY KEY (id), 
	CONSTRAINT apidevices_uploads_device_id_fkey FOREIGN KEY(device_id) REFERENCES apidevices_devices (id) ON DELETE CASCADE, 
	CONSTRAINT apidevices_uploads_token_id_fkey FOREIGN KEY(token_id) REFERENCES apidevices_api_tokens (id)
);
INSERT INTO "apidevices_uploads" VALUES(1,1,1,'2026-11-23 09:00:00.000000',3,'[1]');
CREATE TABLE apidevices_users (
	id INTEGER NOT NULL, 
	email VARCHAR(255) NOT NULL, 
	password VARCHAR(255), 
	active BOOLEAN NOT NULL, 
	fs_uniquifier VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT apidevices_users_pkey PRIMARY KEY (id), 
	CONSTRAINT apidevices_users_email_key UNIQUE (email), 
	CONSTRAINT apidevices_users_fs_uniquifier_key UNIQUE (fs_uniquifier)
);
INSERT INTO "apidevices_users" VALUES(1,'ann@example.org','$argon2id$v=19$m=65536,t=3,p=4$kdI6J6Q0hvBeC4EQwjjnnA$ski1KDSoRP9r9nAJ2SyRnVb+7DChFvdnQnJNi58o4Iw',1,'cc3d37f43a78483f94ba38d3472f783e','2026-11-23 09:00:00.000000');
CREATE TABLE apidevices_users_roles (
	user_id INTEGER NOT NULL, 
	role_id INTEGER NOT NULL, 
	CONSTRAINT apidevices_users_roles_pkey PRIMARY KEY (user_id, role_id), 
	CONSTRAINT apidevices_users_roles_role_id_fkey FOREIGN KEY(role_id) REFERENCES apidevices_roles (id), 
	CONSTRAINT apidevices_users_roles_user_id_fkey FOREIGN KEY(user_id) REFERENCES apidevices_users (id) ON DELETE CASCADE
);
INSERT INTO "apidevices_users_roles" VALUES(1,1);
CREATE INDEX apidevices_audit_log_subject ON apidevices_audit_log (subject, id);
CREATE INDEX apidevices_device_history_device ON apidevices_device_history (device_id, id);
CREATE INDEX apidevices_device_tokens_token_id_idx ON apidevices_device_tokens (token_id);
CREATE INDEX apidevices_uploads_device ON apidevices_uploads (device_id, id);
CREATE INDEX apidevices_device_activity_active ON apidevices_device_activity (last_activity_at DESC, device_id DESC) WHERE blocked = 0;
CREATE INDEX apidevices_device_activity_blocked ON apidevices_device_activity (last_activity_at DESC, device_id DESC) WHERE blocked = 1;
INSERT INTO apidevices_device_search (rowid, key)
SELECT id, search_key || char(10, 10) FROM apidevices_devices;
CREATE TRIGGER apidevices_device_search_insert AFTER INSERT ON apidevices_devices
    BEGIN 
    INSERT INTO apidevices_device_search (rowid, key)
    VALUES (new.id, new.search_key || char(10, 10));
 END;
CREATE TRIGGER apidevices_device_search_update AFTER UPDATE OF search_key ON apidevices_devices
    BEGIN 
    INSERT INTO apidevices_device_search (apidevices_device_search, rowid, key)
    VALUES ('delete', old.id, old.search_key || char(10, 10));
 
    INSERT INTO apidevices_device_search (rowid, key)
    VALUES (new.id, new.search_key || char(10, 10));
 END;
CREATE TRIGGER apidevices_device_search_delete AFTER DELETE ON apidevices_devices
    BEGIN 
    INSERT INTO apidevices_device_search (apidevices_device_search, rowid, key)
    VALUES ('delete', old.id, old.search_key || char(10, 10));
 END;
COMMIT;
