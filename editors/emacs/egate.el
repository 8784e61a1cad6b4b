;;; egate.el --- egate-lsp in lsp-mode -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0
;; Package-Requires: ((emacs "27.1") (lsp-mode "8.0"))

;;; Commentary:

;; Code completion by egate-lsp beside the language's own server.
;;
;;   (load "/path/to/editors/emacs/egate.el")
;;   (add-hook 'prog-mode-hook #'lsp-deferred)
;;
;; With lsp-mode 9.0.1 or newer suggestions are ghost text (`lsp-inline-completion'); `egate-setup-keys' gives it keys
;; that do not take yours.  With an older lsp-mode they are entries of the completion menu.
;;
;; Commands: `egate-toggle', `egate-toggle-language', `egate-pause-target', `egate-why', `egate-statistics',
;; `egate-restart'.

;;; Code:

(require 'lsp-mode)
(require 'lsp-inline-completion nil t)

(declare-function lsp-inline-completion-accept "lsp-inline-completion")

(defgroup egate nil
  "Local-first code completion."
  :group 'lsp-mode)

(defcustom egate-command '("egate-lsp" "serve")
  "The command that starts the server."
  :type '(repeat string)
  :group 'egate
  :risky t)

(defcustom egate-settings nil
  "Settings of the server, a property list with the keys of its config.toml.
For example (:target (:base_url \"http://127.0.0.1:8080/v1\" :model \"qwen2.5-coder-7b\"))."
  :type 'plist
  :group 'egate
  :risky t)

(defcustom egate-modes '(prog-mode)
  "Major modes, with those derived from them, in which the server is started."
  :type '(repeat symbol)
  :group 'egate)

(defvar egate-status nil
  "The server's last status, or nil.
A hash table with \"state\", \"reason\", \"hint\", \"model\" and more.")

(defvar egate-mode-line '(:eval (egate-mode-line))
  "A mode line construct, for `global-mode-string' or `mode-line-format'.")
(put 'egate-mode-line 'risky-local-variable t)

(defun egate-mode-line ()
  "The server's state in a few characters; empty if it does not run."
  (let ((state (and egate-status (gethash "state" egate-status))))
    (cond ((null state) "")
          ((member state '("ready" "working")) " egate")
          (t (format " egate:%s" state)))))

(defun egate--status-changed (_workspace status)
  "Keep STATUS; tell of an error once."
  (let ((was (and egate-status (gethash "state" egate-status))))
    (setq egate-status status)
    (when (and (equal (gethash "state" status) "error") (not (equal was "error")))
      (lsp-warn "egate-lsp: %s %s" (gethash "reason" status) (or (gethash "hint" status) "")))
    (force-mode-line-update t)))

(defvar egate--told-missing nil
  "The program whose absence the user was told of.")

(defun egate--active-p (&rest _)
  "Is the server wanted in this buffer?  Says so, once, if it is and cannot be."
  (let ((program (car egate-command)))
    (cond ((not (apply #'derived-mode-p egate-modes)) nil)
          ((executable-find program) t)
          ((equal program egate--told-missing) nil)
          (t (setq egate--told-missing program)
             (lsp-warn "egate-lsp: there is no program %s.  Install it (pipx install egate-lsp), or set `egate-command'."
                       program)
             nil))))

(lsp-register-client
 (make-lsp-client
  :server-id 'egate
  :new-connection (lsp-stdio-connection (lambda () egate-command))
  :activation-fn #'egate--active-p
  :add-on? t
  :multi-root t
  :priority -2
  :completion-in-comments? t
  :initialization-options (lambda () (or egate-settings (make-hash-table)))
  ;; The inline completion of lsp-mode declares itself; an lsp-mode without it gets menu entries.
  :custom-capabilities '((experimental . ((egateStatus . t))))
  :notification-handlers (lsp-ht ("egate/statusChanged" #'egate--status-changed)
                                 ("egate/upgraded" #'ignore))))

(defun egate--workspace ()
  "The server's workspace of this buffer."
  (or (lsp-find-workspace 'egate (buffer-file-name))
      (user-error "egate-lsp does not run for this buffer: M-x lsp")))

(defun egate--command (command &rest arguments)
  "What the server answers to COMMAND with ARGUMENTS."
  (with-lsp-workspace (egate--workspace)
    (lsp-request "workspace/executeCommand" (list :command command :arguments (apply #'vector arguments)))))

(defun egate-toggle ()
  "Suggestions off or on."
  (interactive)
  (message "egate-lsp: %s" (if (egate--command "egate.toggle") "on" "off")))

(defun egate-toggle-language ()
  "Suggestions off or on in this buffer's language."
  (interactive)
  (let ((language (lsp-buffer-language)))
    (message "egate-lsp: %s %s" language (if (egate--command "egate.toggleLanguage" language) "on" "off"))))

(defun egate-pause-target ()
  "Ask no larger model until called again: local only."
  (interactive)
  (message "egate-lsp: target %s" (if (egate--command "egate.pauseTarget") "paused" "in use")))

(defun egate-restart ()
  "Start the draft engine anew."
  (interactive)
  (egate--command "egate.restart"))

(defun egate-statistics ()
  "What was shown, accepted and sent."
  (interactive)
  (let ((stats (egate--command "egate.stats")))
    (with-help-window "*egate statistics*"
      (maphash (lambda (key value) (princ (format "%-28s %s\n" key value))) stats))))

(defun egate-why ()
  "Why the newest suggestion of this buffer is as it is.
Each line with its writer and its uncertainty."
  (interactive)
  (let* ((uri (lsp--buffer-uri))
         (answer (with-lsp-workspace (egate--workspace)
                   (lsp-request "egate/explain" (list :textDocument (list :uri uri) :format "text")))))
    (if (null answer)
        (message "egate-lsp: nothing was suggested here yet")
      (with-help-window "*egate why*"
        (princ (gethash "text" answer))))))

(defun egate-setup-keys ()
  "Give `lsp-inline-completion' few keys.
TAB accepts, `M-n' and `M-p' go round; all others keep their meaning."
  (when (boundp 'lsp-inline-completion-active-map)
    (let ((map lsp-inline-completion-active-map))
      (dolist (key '("<tab>" "TAB")) (define-key map (kbd key) #'lsp-inline-completion-accept))
      (dolist (key '("<return>" "C-n" "C-p")) (define-key map (kbd key) nil)))))

(when (boundp 'lsp-inline-completion-idle-delay)
  (setq lsp-inline-completion-idle-delay 0.2))

(provide 'egate)
;;; egate.el ends here
