-- Users.
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE INDEX users_name ON users (name);
CREATE VIEW active AS SELECT id, name FROM users WHERE id > 1;
CREATE FUNCTION add_one(x INTEGER) RETURNS INTEGER AS $$ SELECT x + 1 $$ LANGUAGE SQL;
INSERT INTO users (id) VALUES (1);
SELECT count(u.id) FROM users u JOIN orders o ON o.user_id = u.id;
