-- Projects, drafts, and the namespace that a task, a project or a draft may be in.

ALTER TABLE tasks ADD COLUMN scope TEXT;
CREATE INDEX tasks_by_project ON tasks (project_id) WHERE project_id IS NOT NULL;

CREATE TABLE projects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'completed', 'abandoned')),
    base_branch TEXT,
    auto_accept INTEGER NOT NULL CHECK (auto_accept IN (0, 1)),
    scope TEXT,
    version INTEGER NOT NULL DEFAULT 1,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    completed_at INTEGER,
    metadata TEXT NOT NULL,
    created_as TEXT NOT NULL,
    CONSTRAINT completed_is_whole CHECK ((status = 'completed') = (completed_at IS NOT NULL))
) STRICT;

CREATE TABLE drafts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('idea', 'proposed', 'promoted', 'archived')),
    project_id TEXT,
    file_path TEXT,
    tags TEXT NOT NULL,
    task_ids TEXT NOT NULL,
    scope TEXT,
    version INTEGER NOT NULL DEFAULT 1,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    created_as TEXT NOT NULL,
    CONSTRAINT promoted_into_tasks CHECK (status <> 'promoted' OR task_ids <> '[]')
) STRICT;
