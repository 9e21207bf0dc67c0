//! Texts about problems of a device, and advice.

texts! {
    READY: "
        Ready: nothing has been recorded yet.
        Bereit: Es wurde noch nichts aufgezeichnet.
        Prêt : rien n’a encore été enregistré.
        Listo: todavía no se ha registrado nada.
        Redo: inget har registrerats än.";
    ALL_DELIVERED: "
        Everything that was recorded has reached Adobe Target.
        Alles Aufgezeichnete ist bei Adobe Target.
        Tout ce qui a été enregistré est chez Adobe Target.
        Todo lo registrado está en Adobe Target.
        Allt som har registrerats finns hos Adobe Target.";
    ON_THE_WAY: "
        {0} profile is on the way to Adobe Target.|{0} profiles are on the way to Adobe Target.
        {0} Profil ist auf dem Weg zu Adobe Target.|{0} Profile sind auf dem Weg zu Adobe Target.
        {0} profil est en route vers Adobe Target.|{0} profils sont en route vers Adobe Target.
        {0} perfil va camino de Adobe Target.|{0} perfiles van camino de Adobe Target.
        {0} profil är på väg till Adobe Target.|{0} profiler är på väg till Adobe Target.";
    NOT_RUNNING: "
        The agent is not running: nothing is sent, and only `outpost record` records events.
        Der Agent läuft nicht: Nichts wird gesendet, und nur `outpost record` zeichnet Ereignisse auf.
        L’agent ne tourne pas : rien n’est envoyé, et seul `outpost record` enregistre des événements.
        El agente no está en marcha: no se envía nada y solo `outpost record` registra eventos.
        Agenten körs inte: inget skickas, och bara `outpost record` registrerar händelser.";
    START_IT: "
        Start it: `outpost run`, or its service.
        Starten Sie ihn: `outpost run` oder seinen Dienst.
        Démarrez-le : `outpost run`, ou son service.
        Iníciela: `outpost run` o su servicio.
        Starta den: `outpost run` eller dess tjänst.";
    REFUSED: "
        New events are refused: {0}.
        Neue Ereignisse werden abgelehnt: {0}.
        Les nouveaux événements sont refusés : {0}.
        Se rechazan los eventos nuevos: {0}.
        Nya händelser avvisas: {0}.";
    MAX_SIZE: "
        the store has reached max_size of [store]
        der Speicher hat max_size von [store] erreicht
        la base a atteint max_size de [store]
        el almacén ha alcanzado max_size de [store]
        lagret har nått max_size i [store]";
    DISK_LOW: "
        the disk has less than min_free_disk of [store] left
        auf dem Datenträger ist weniger als min_free_disk von [store] frei
        il reste sur le disque moins que min_free_disk de [store]
        en el disco queda menos que min_free_disk de [store]
        disken har mindre kvar än min_free_disk i [store]";
    DISK_FULL: "
        the disk is full
        der Datenträger ist voll
        le disque est plein
        el disco está lleno
        disken är full";
    WRITE_FAILED: "
        the last write to the store failed: {0}
        der letzte Schreibvorgang im Speicher ist fehlgeschlagen: {0}
        la dernière écriture dans la base a échoué : {0}
        la última escritura en el almacén falló: {0}
        den senaste skrivningen till lagret misslyckades: {0}";
    MAKE_ROOM: "
        Events are accepted again as soon as there is room. Nothing that waits is lost: check whether updates are going out, free space on the disk, or raise max_size in [store].
        Sobald Platz ist, werden Ereignisse von selbst wieder angenommen. Was wartet, bleibt erhalten: Prüfen Sie, ob Aktualisierungen hinausgehen, schaffen Sie Platz auf dem Datenträger, oder erhöhen Sie max_size in [store].
        Les événements sont de nouveau acceptés dès qu’il y a de la place. Ce qui attend est conservé : vérifiez que les mises à jour partent, libérez de l’espace sur le disque, ou augmentez max_size dans [store].
        Los eventos se aceptan de nuevo en cuanto haya espacio. Lo que espera se conserva: compruebe si salen las actualizaciones, libere espacio en el disco o aumente max_size en [store].
        Händelser tas emot igen av sig självt när det finns plats. Det som väntar finns kvar: se om uppdateringar går ut, frigör plats på disken eller höj max_size i [store].";
    DISK_FAILS: "
        It is retried automatically. If it persists and nothing else is reported here, the disk may be failing: see `outpost doctor`.
        Es wird von selbst erneut versucht. Hält es an und steht hier sonst nichts, ist vielleicht der Datenträger defekt: siehe `outpost doctor`.
        Une nouvelle tentative a lieu d’elle-même. Si cela continue et que rien d’autre n’est dit ici, le disque est peut-être défectueux : voyez `outpost doctor`.
        Se vuelve a intentar por sí solo. Si continúa y aquí no se dice nada más, puede que el disco esté fallando: vea `outpost doctor`.
        Nya försök görs av sig självt. Fortsätter det och inget annat sägs här, är disken kanske på väg att gå sönder: se `outpost doctor`.";
    SALVAGED: "
        A damaged store is kept: {0}.
        Ein beschädigter Speicher wird aufbewahrt: {0}.
        Une base endommagée est conservée : {0}.
        Se conserva un almacén dañado: {0}.
        Ett skadat lager sparas: {0}.";
    DAMAGED_KEPT: "
        {0} contains people's data: it must not leave this device. It is deleted on {1}, or by `outpost forget`.
        {0} enthält Daten von Menschen: Die Datei darf dieses Gerät nicht verlassen; sie wird am {1} gelöscht, oder durch `outpost forget`.
        {0} contient des données de personnes : ce fichier ne doit pas quitter cet appareil ; il est supprimé le {1}, ou par `outpost forget`.
        {0} contiene datos de personas: no debe salir de este dispositivo; se borra el {1}, o con `outpost forget`.
        {0} innehåller människors data: filen får inte lämna enheten; den raderas {1}, eller av `outpost forget`.";
    REPLACE_DISK: "
        Replace the disk if it fails again.
        Tauschen Sie den Datenträger aus, wenn er noch einmal versagt.
        Remplacez le disque s’il tombe encore en panne.
        Sustituya el disco si vuelve a fallar.
        Byt disken om den sviktar igen.";
    DELETE_DAMAGED: "
        Delete it, with its -wal, once nobody needs it.
        Löschen Sie sie samt ihrer Datei -wal, sobald niemand sie mehr braucht.
        Supprimez-le, avec son fichier -wal, dès que personne n’en a plus besoin.
        Bórrelo, con su archivo -wal, cuando nadie lo necesite.
        Radera den, med dess -wal, när ingen behöver den.";
    NOT_SET_UP: "
        Nothing can be sent to Adobe Target: {0}.
        An Adobe Target kann nichts gesendet werden: {0}.
        Rien ne peut être envoyé à Adobe Target : {0}.
        No se puede enviar nada a Adobe Target: {0}.
        Inget kan skickas till Adobe Target: {0}.";
    SET_IT_UP: "
        Fix it: the agent notices by itself when a file changes; after a change of the configuration run `outpost reload`.
        Beheben Sie es: Eine geänderte Datei bemerkt der Agent von selbst; nach einer Änderung der Konfiguration führen Sie `outpost reload` aus.
        Corrigez cela : l’agent remarque de lui-même un fichier modifié ; après un changement de configuration, lancez `outpost reload`.
        Corríjalo: el agente nota por sí solo un archivo que cambia; tras un cambio de configuración, ejecute `outpost reload`.
        Rätta det: agenten märker själv en fil som ändras; efter en ändring av konfigurationen, kör `outpost reload`.";
    NOTHING_LOST: "
        Nothing is lost: what was recorded waits, and is sent automatically.
        Nichts geht verloren: Was aufgezeichnet ist, wartet und geht von selbst hinaus.
        Rien n’est perdu : ce qui est enregistré attend, et part de lui-même.
        No se pierde nada: lo registrado espera y sale por sí solo.
        Inget går förlorat: det som har registrerats väntar och skickas av sig självt.";
    NOT_REACHED: "
        Adobe Target cannot be reached: {0}.
        Adobe Target ist nicht erreichbar: {0}.
        Adobe Target n’est pas joignable : {0}.
        No se llega a Adobe Target: {0}.
        Adobe Target nås inte: {0}.";
    CHECK_NETWORK: "
        Check this device's network, and ask whoever runs it whether Adobe Target is allowed through.
        Prüfen Sie das Netzwerk dieses Geräts, und fragen Sie den Betreiber des Netzwerks, ob Adobe Target durchgelassen wird.
        Vérifiez le réseau de cet appareil, et demandez au responsable du réseau si Adobe Target est autorisé.
        Compruebe la red de este dispositivo y pregunte al responsable de la red si se permite el paso a Adobe Target.
        Kontrollera enhetens nätverk och fråga den som ansvarar för nätverket om Adobe Target släpps igenom.";
    BLOCKED: "
        Something else answers instead of Adobe Target: {0}.
        Etwas anderes antwortet anstelle von Adobe Target: {0}.
        Quelque chose répond à la place d’Adobe Target : {0}.
        Algo responde en lugar de Adobe Target: {0}.
        Något svarar i Adobe Targets ställe: {0}.";
    LOG_IN: "
        Open any web page on this device: if the network shows a login page, log in. Otherwise check client_code and endpoint in [target], and ask whoever runs the network to allow Adobe Target.
        Öffnen Sie auf diesem Gerät eine beliebige Webseite: Erscheint eine Anmeldeseite des Netzwerks, melden Sie sich dort an. Sonst vergleichen Sie client_code und endpoint in [target], und bitten Sie den Betreiber des Netzwerks, Adobe Target durchzulassen.
        Ouvrez une page web quelconque sur cet appareil : si une page de connexion du réseau apparaît, connectez-vous. Sinon, comparez client_code et endpoint dans [target], et demandez au responsable du réseau d’autoriser Adobe Target.
        Abra cualquier página web en este dispositivo: si aparece una página de acceso de la red, inicie sesión en ella. Si no, compare client_code y endpoint en [target] y pida al responsable de la red que permita el paso a Adobe Target.
        Öppna någon webbsida på enheten: visas nätverkets inloggningssida, logga in där. Jämför annars client_code och endpoint i [target], och be den som ansvarar för nätverket att släppa igenom Adobe Target.";
    PAUSED: "
        Adobe Target does not accept the token: {0}.
        Adobe Target nimmt das Token nicht an: {0}.
        Adobe Target n’accepte pas le jeton : {0}.
        Adobe Target no acepta el token: {0}.
        Adobe Target godtar inte token: {0}.";
    NEW_TOKEN: "
        Ask your Adobe Target administrator for a new token, and put it into the token's file: the agent notices it.
        Bitten Sie, wer Adobe Target betreut, um ein neues Token, und schreiben Sie es in die Datei des Tokens: Der Agent bemerkt es von selbst.
        Demandez un nouveau jeton à qui gère Adobe Target, et mettez-le dans le fichier du jeton : l’agent le remarque de lui-même.
        Pida un token nuevo a quien gestiona Adobe Target y póngalo en el archivo del token: el agente lo nota por sí solo.
        Be den som sköter Adobe Target om en ny token och lägg den i filen för token: agenten märker det själv.";
    LOG_IN_FOR_HUB: "
        Open any web page on this device: if the network shows a login page, log in. Otherwise check url in [hub], and ask whoever runs the network to allow the hub.
        Öffnen Sie auf diesem Gerät eine beliebige Webseite: Erscheint eine Anmeldeseite des Netzwerks, melden Sie sich dort an. Sonst prüfen Sie url in [hub], und bitten Sie den Betreiber des Netzwerks, den Hub durchzulassen.
        Ouvrez une page web quelconque sur cet appareil : si une page de connexion du réseau apparaît, connectez-vous. Sinon, vérifiez url dans [hub], et demandez au responsable du réseau d’autoriser le hub.
        Abra cualquier página web en este dispositivo: si aparece una página de acceso de la red, inicie sesión en ella. Si no, compruebe url en [hub] y pida al responsable de la red que permita el paso al hub.
        Öppna någon webbsida på enheten: visas nätverkets inloggningssida, logga in där. Kontrollera annars url i [hub], och be den som ansvarar för nätverket att släppa igenom hubben.";
    JOIN_AGAIN: "
        Ask whoever runs the hub: a device that was revoked joins again with `outpost join`, and a version that is too old needs an update.
        Fragen Sie, wer den Hub betreibt: Ein Gerät, das gesperrt wurde, tritt mit `outpost join` neu bei, und eine zu alte Version braucht eine Aktualisierung.
        Demandez au responsable du hub : un appareil révoqué adhère de nouveau avec `outpost join`, et une version trop ancienne doit être mise à jour.
        Pregunte al responsable del hub: un dispositivo revocado vuelve a unirse con `outpost join`, y una versión demasiado antigua necesita una actualización.
        Fråga den som sköter hubben: en enhet som har spärrats ansluts igen med `outpost join`, och en för gammal version behöver uppdateras.";
    TOLD_TO_WAIT: "
        Adobe Target asks this device to wait.
        Adobe Target bittet dieses Gerät zu warten.
        Adobe Target demande à cet appareil d’attendre.
        Adobe Target pide a este dispositivo que espere.
        Adobe Target ber enheten att vänta.";
    NEXT_TRY: "
        Updates wait for the next try.
        Aktualisierungen warten auf den nächsten Versuch.
        Les mises à jour attendent la prochaine tentative.
        Las actualizaciones esperan el próximo intento.
        Uppdateringar väntar på nästa försök.";
    QUOTA_SPENT: "
        The quota of single updates is used up.
        Das Kontingent einzelner Aktualisierungen ist verbraucht.
        Le quota de mises à jour individuelles est épuisé.
        La cuota de actualizaciones individuales está agotada.
        Kvoten för enskilda uppdateringar är slut.";
    RAISE_QUOTA: "
        Updates continue automatically as the quota frees up. If this happens often, raise updates_per_day in [target.quota].
        Aktualisierungen gehen von selbst weiter, sobald wieder Platz ist. Geschieht das oft, erhöhen Sie updates_per_day in [target.quota].
        Les mises à jour reprennent d’elles-mêmes dès qu’il y a de la place. Si cela arrive souvent, augmentez updates_per_day dans [target.quota].
        Las actualizaciones continúan por sí solas cuando haya margen. Si ocurre a menudo, aumente updates_per_day en [target.quota].
        Uppdateringarna fortsätter av sig självt när det finns utrymme. Händer det ofta, höj updates_per_day i [target.quota].";
    ROWS_SPENT: "
        The rows that batches may have in a day are used up.
        Die Zeilen, die Stapel an einem Tag haben dürfen, sind verbraucht.
        Les lignes que les lots peuvent avoir en un jour sont épuisées.
        Se han agotado las filas que los lotes pueden tener en un día.
        Raderna som satser får ha på en dag är slut.";
    TOO_MANY_ROWS: "
        Batches continue automatically within a day. A device should not need so many: find out why profiles change so often.
        Stapel gehen innerhalb eines Tages von selbst weiter. Ein Gerät sollte nicht so viele brauchen: Sehen Sie nach, warum sich Profile so oft ändern.
        Les lots reprennent d’eux-mêmes en un jour. Un appareil ne devrait pas en avoir besoin d’autant : voyez pourquoi les profils changent si souvent.
        Los lotes continúan por sí solos en un día. Un dispositivo no debería necesitar tantas: vea por qué los perfiles cambian tan a menudo.
        Satserna fortsätter av sig självt inom ett dygn. En enhet borde inte behöva så många: se varför profilerna ändras så ofta.";
    SET_ASIDE: "
        All waiting profiles have been set aside: {0}; the first is tried again at {1}.
        Alle wartenden Profile wurden zurückgestellt: {0}; das erste wird um {1} erneut versucht.
        Tous les profils en attente ont été mis de côté : {0} ; le premier est retenté à {1}.
        Todos los perfiles que esperan se han apartado: {0}; el primero se vuelve a intentar a las {1}.
        Alla profiler som väntar har ställts åt sidan: {0}; den första försöks igen {1}.";
    TRY_ASIDE: "
        Each is retried automatically; `outpost explain` says why one waits, and `outpost retry-now` retries it now.
        Jedes wird von selbst erneut versucht; `outpost explain` sagt, warum eines wartet, und `outpost retry-now` versucht es jetzt.
        Chacun est retenté de lui-même ; `outpost explain` dit pourquoi l’un d’eux attend, et `outpost retry-now` le tente maintenant.
        Cada uno se vuelve a intentar por sí solo; `outpost explain` dice por qué espera uno, y `outpost retry-now` lo intenta ahora.
        Var och en försöks igen av sig självt; `outpost explain` säger varför en väntar, och `outpost retry-now` försöker nu.";
    OLD: "
        The oldest update has been waiting for {0} hour.|The oldest update has been waiting for {0} hours.
        Was am längsten wartet, wartet seit {0} Stunde.|Was am längsten wartet, wartet seit {0} Stunden.
        Ce qui attend le plus longtemps attend depuis {0} heure.|Ce qui attend le plus longtemps attend depuis {0} heures.
        Lo que más espera lleva {0} hora esperando.|Lo que más espera lleva {0} horas esperando.
        Det som väntat längst har väntat i {0} timme.|Det som väntat längst har väntat i {0} timmar.";
    SEE_WHY_OLD: "
        Check the link and the quota; `outpost explain` says why a profile waits.
        Prüfen Sie Verbindung und Kontingent; `outpost explain` sagt, warum ein Profil wartet.
        Voyez la liaison et le quota ; `outpost explain` dit pourquoi un profil attend.
        Vea la conexión y la cuota; `outpost explain` dice por qué espera un perfil.
        Se anslutningen och kvoten; `outpost explain` säger varför en profil väntar.";
    MISSING: "
        {0} profile does not exist in Adobe Target yet, and is looked for again.|{0} profiles do not exist in Adobe Target yet, and are looked for again.
        {0} Profil ist Adobe Target nicht bekannt und wird erneut gesucht.|{0} Profile sind Adobe Target nicht bekannt und werden erneut gesucht.
        {0} profil est inconnu d’Adobe Target, et sera cherché de nouveau.|{0} profils sont inconnus d’Adobe Target, et seront cherchés de nouveau.
        Adobe Target no conoce {0} perfil; se volverá a buscar.|Adobe Target no conoce {0} perfiles; se volverán a buscar.
        {0} profil är okänd för Adobe Target och söks igen.|{0} profiler är okända för Adobe Target och söks igen.";
    AUTO_CREATES: "
        mode = \"auto\" in [target] creates them.
        mode = \"auto\" in [target] legt sie an.
        mode = \"auto\" dans [target] les crée.
        mode = \"auto\" en [target] los crea.
        mode = \"auto\" i [target] skapar dem.";
    REJECTED_KEPT: "
        {0} event or update was rejected and needs a decision.|{0} events or updates were rejected and need a decision.
        {0} Ereignis oder Aktualisierung ist abgelehnt und für eine Entscheidung aufbewahrt.|{0} Ereignisse oder Aktualisierungen sind abgelehnt und für eine Entscheidung aufbewahrt.
        {0} événement ou mise à jour est rejeté, et conservé pour décision.|{0} événements ou mises à jour sont rejetés, et conservés pour décision.
        {0} evento o actualización está rechazado y se guarda para decidir.|{0} eventos o actualizaciones están rechazados y se guardan para decidir.
        {0} händelse eller uppdatering är avvisad och sparas för beslut.|{0} händelser eller uppdateringar är avvisade och sparas för beslut.";
    FIX_REJECTED: "
        `outpost rejected list` says why: fix the mapping and retry, or drop them.
        `outpost rejected list` sagt, warum: Korrigieren Sie die Zuordnung und versuchen Sie es erneut, oder verwerfen Sie sie.
        `outpost rejected list` dit pourquoi : corrigez la correspondance et réessayez, ou abandonnez-les.
        `outpost rejected list` dice por qué: corrija la asignación y reintente, o descártelos.
        `outpost rejected list` säger varför: rätta mappningen och försök igen, eller släng dem.";
    CONSENT_UNKNOWN: "
        {0} event was not stored, since consent of [privacy] could not be computed for it; it came on {1}.|{0} events were not stored, since consent of [privacy] could not be computed for them; the last one came on {1}.
        {0} Ereignis wurde nicht gespeichert, weil consent von [privacy] dafür nicht berechnet werden konnte; es kam am {1}.|{0} Ereignisse wurden nicht gespeichert, weil consent von [privacy] dafür nicht berechnet werden konnte; das letzte kam am {1}.
        {0} événement n’a pas été stocké, car consent de [privacy] n’a pas pu être calculé ; il est arrivé le {1}.|{0} événements n’ont pas été stockés, car consent de [privacy] n’a pas pu être calculé ; le dernier est arrivé le {1}.
        {0} evento no se guardó porque no se pudo calcular consent de [privacy]; llegó el {1}.|{0} eventos no se guardaron porque no se pudo calcular consent de [privacy]; el último llegó el {1}.
        {0} händelse lagrades inte, eftersom consent i [privacy] inte kunde beräknas för den; den kom {1}.|{0} händelser lagrades inte, eftersom consent i [privacy] inte kunde beräknas för dem; den sista kom {1}.";
    FIX_CONSENT: "
        The answer to the event, or failed/NAME.errors of its file, says why: correct consent, or what sends the event, and send it again.
        Die Antwort auf das Ereignis oder failed/NAME.errors seiner Datei sagt, warum: Korrigieren Sie consent oder das, was das Ereignis sendet, und senden Sie es erneut.
        La réponse à l’événement, ou failed/NOM.errors de son fichier, dit pourquoi : corrigez consent, ou ce qui envoie l’événement, et renvoyez-le.
        La respuesta al evento, o failed/NOMBRE.errors de su archivo, dice por qué: corrija consent, o lo que envía el evento, y envíelo de nuevo.
        Svaret på händelsen, eller failed/NAMN.errors för dess fil, säger varför: rätta consent, eller det som skickar händelsen, och skicka den igen.";
    READS_DENIED: "
        Profiles cannot be read before they are updated, so newer values from others may be lost: {0}.
        Profile können vor der Aktualisierung nicht gelesen werden, sodass neuere Werte anderer verloren gehen können: {0}.
        Les profils ne peuvent pas être lus avant d’être mis à jour, si bien que des valeurs plus récentes d’autrui peuvent être perdues : {0}.
        Los perfiles no se pueden leer antes de actualizarlos, de modo que pueden perderse valores más recientes de otros: {0}.
        Profiler kan inte läsas innan de uppdateras, så att andras nyare värden kan gå förlorade: {0}.";
    LET_READ: "
        Allow the token to read profiles.
        Erlauben Sie dem Token, Profile zu lesen.
        Autorisez le jeton à lire les profils.
        Permita que el token lea perfiles.
        Låt token läsa profiler.";
    NO_MAPPING: "
        No mapping is configured: events are recorded, but change no profile.
        Keine Zuordnung ist konfiguriert: Ereignisse werden aufgezeichnet und ändern kein Profil.
        Aucune correspondance n’est configurée : les événements sont enregistrés et ne changent aucun profil.
        No hay ninguna asignación configurada: los eventos se registran y no cambian ningún perfil.
        Ingen mappning är konfigurerad: händelser registreras och ändrar ingen profil.";
    ADD_MAPPING: "
        Add a [[mapping]]; `outpost check` tries it.
        Fügen Sie ein [[mapping]] hinzu; `outpost check` probiert es aus.
        Ajoutez un [[mapping]] ; `outpost check` l’essaie.
        Añada un [[mapping]]; `outpost check` lo prueba.
        Lägg till en [[mapping]]; `outpost check` provar den.";
    CLOCK_BEHIND: "
        The device's clock is {0} second behind the newest event.|The device's clock is {0} seconds behind the newest event.
        Die Uhr des Geräts geht gegenüber dem neuesten Ereignis {0} Sekunde nach.|Die Uhr des Geräts geht gegenüber dem neuesten Ereignis {0} Sekunden nach.
        L’horloge de l’appareil retarde de {0} seconde sur l’événement le plus récent.|L’horloge de l’appareil retarde de {0} secondes sur l’événement le plus récent.
        El reloj del dispositivo va {0} segundo por detrás del evento más reciente.|El reloj del dispositivo va {0} segundos por detrás del evento más reciente.
        Enhetens klocka går {0} sekund efter den senaste händelsen.|Enhetens klocka går {0} sekunder efter den senaste händelsen.";
    SET_CLOCK: "
        Set the clock, or let NTP set it.
        Stellen Sie die Uhr, oder lassen Sie sie durch NTP stellen.
        Réglez l’horloge, ou faites-la régler par NTP.
        Ponga el reloj en hora, o haga que lo ajuste NTP.
        Ställ klockan, eller låt NTP ställa den.";
    NOT_RELOADED: "
        The configuration was changed and could not be reloaded; the previous one is in effect: {0}.
        Die Konfiguration wurde geändert und konnte nicht neu geladen werden; die vorige gilt: {0}.
        La configuration a été modifiée et n’a pas pu être rechargée ; la précédente est en vigueur : {0}.
        La configuración se cambió y no se pudo recargar; rige la anterior: {0}.
        Konfigurationen har ändrats och kunde inte läsas om; den förra gäller: {0}.";
    CORRECT_AND_RELOAD: "
        Fix it (`outpost check` says what is wrong), and run `outpost reload`.
        Korrigieren Sie sie, siehe `outpost check`, und führen Sie `outpost reload` aus.
        Corrigez-la, voyez `outpost check`, et lancez `outpost reload`.
        Corríjala, vea `outpost check`, y ejecute `outpost reload`.
        Rätta den, se `outpost check`, och kör `outpost reload`.";
    TOKENS_UNREAD: "
        The tokens were changed and could not be read; the previous ones are in effect: {0}.
        Die Tokens wurden geändert und konnten nicht gelesen werden; die vorigen gelten: {0}.
        Les jetons ont été modifiés et n’ont pas pu être lus ; les précédents sont en vigueur : {0}.
        Los tokens se cambiaron y no se pudieron leer; rigen los anteriores: {0}.
        Token har ändrats och kunde inte läsas; de förra gäller: {0}.";
    CORRECT_TOKENS: "
        Fix the file, and run `outpost reload`.
        Korrigieren Sie die Datei, und führen Sie `outpost reload` aus.
        Corrigez le fichier, et lancez `outpost reload`.
        Corrija el archivo y ejecute `outpost reload`.
        Rätta filen och kör `outpost reload`.";
    NO_LOG: "
        No log files are written: {0}.
        Es werden keine Protokolldateien geschrieben: {0}.
        Aucun fichier de journal n’est écrit : {0}.
        No se escriben archivos de registro: {0}.
        Inga loggfiler skrivs: {0}.";
    LET_LOG: "
        Make the agent's user the owner of the folder, and the only one who may write to it; or set dir in [log]. Then restart the agent.
        Lassen Sie den Ordner dem Benutzer des Agenten gehören und nur diesen darin schreiben, oder setzen Sie dir in [log], und starten Sie den Agenten neu.
        Donnez le dossier à l’utilisateur de l’agent, qui doit être seul à pouvoir y écrire, ou réglez dir dans [log], et redémarrez l’agent.
        Haga que la carpeta sea del usuario del agente y que solo él pueda escribir en ella, o ajuste dir en [log], y reinicie el agente.
        Låt mappen tillhöra agentens användare, som ensam får skriva i den, eller ange dir i [log], och starta om agenten.";
    FOLDER_PROBLEM: "
        Dropped files cannot be read: {0}.
        Abgelegte Dateien können nicht gelesen werden: {0}.
        Les fichiers déposés ne peuvent pas être lus : {0}.
        No se pueden leer los archivos depositados: {0}.
        Inlagda filer kan inte läsas: {0}.";
    CHECK_FOLDER: "
        Nothing is lost: it is retried. Check the folder's permissions, and which program has the file open.
        Nichts geht verloren: Es wird erneut versucht. Prüfen Sie die Rechte des Ordners, und wer die Datei geöffnet hat.
        Rien n’est perdu : une nouvelle tentative a lieu. Vérifiez les droits du dossier, et qui tient le fichier ouvert.
        No se pierde nada: se vuelve a intentar. Compruebe los permisos de la carpeta y quién tiene abierto el archivo.
        Inget går förlorat: nya försök görs. Kontrollera mappens rättigheter och vem som har filen öppen.";
    BAD_LINES: "
        {0} dropped file has lines that could not be recorded.|{0} dropped files have lines that could not be recorded.
        {0} abgelegte Datei hat Zeilen, die nicht aufgezeichnet werden konnten.|{0} abgelegte Dateien haben Zeilen, die nicht aufgezeichnet werden konnten.
        {0} fichier déposé a des lignes qui n’ont pas pu être enregistrées.|{0} fichiers déposés ont des lignes qui n’ont pas pu être enregistrées.
        {0} archivo depositado tiene líneas que no se pudieron registrar.|{0} archivos depositados tienen líneas que no se pudieron registrar.
        {0} inlagd fil har rader som inte kunde registreras.|{0} inlagda filer har rader som inte kunde registreras.";
    FIX_LINES: "
        failed/ contains the file, and a list of what is wrong: fix those lines, drop only them as a file of their own, and remove the file and its list from failed/.
        failed/ enthält die Datei und daneben eine Liste dessen, was falsch ist: Korrigieren Sie diese Zeilen, legen Sie sie allein als eigene Datei ab, und entfernen Sie die Datei und ihre Liste aus failed/.
        failed/ contient le fichier, et à côté une liste de ce qui ne va pas : corrigez ces lignes, déposez-les seules dans un fichier à part, et retirez le fichier et sa liste de failed/.
        failed/ contiene el archivo y, junto a él, una lista de lo que está mal: corrija esas líneas, deposítelas solas en un archivo aparte y quite el archivo y su lista de failed/.
        failed/ innehåller filen och bredvid den en lista över vad som är fel: rätta de raderna, lägg in dem ensamma som en egen fil, och ta bort filen och dess lista från failed/.";
    FILES_WAIT: "
        {0} dropped file waits to be read.|{0} dropped files wait to be read.
        {0} abgelegte Datei wartet darauf, gelesen zu werden.|{0} abgelegte Dateien warten darauf, gelesen zu werden.
        {0} fichier déposé attend d’être lu.|{0} fichiers déposés attendent d’être lus.
        {0} archivo depositado espera a ser leído.|{0} archivos depositados esperan a ser leídos.
        {0} inlagd fil väntar på att läsas.|{0} inlagda filer väntar på att läsas.";
    DEVICE_PROBLEM: "
        The device {0}: {1}.
        Das Gerät {0}: {1}.
        L’appareil {0} : {1}.
        El dispositivo {0}: {1}.
        Enheten {0}: {1}.";
    NOT_THERE: "
        it is not there
        es ist nicht da
        il n’est pas là
        no está
        den finns inte där";
    PLUG_IN: "
        Check that it is plugged in, and that the agent may open it.
        Prüfen Sie, ob es angeschlossen ist und ob der Agent es öffnen darf.
        Vérifiez qu’il est branché, et que l’agent peut l’ouvrir.
        Compruebe que está conectado y que el agente puede abrirlo.
        Kontrollera att den är inkopplad och att agenten får öppna den.";
    LINES_LOST: "
        {0} line of the device {1} was lost while the store was full.|{0} lines of the device {1} were lost while the store was full.
        {0} Zeile des Geräts {1} ging verloren, während der Speicher voll war.|{0} Zeilen des Geräts {1} gingen verloren, während der Speicher voll war.
        {0} ligne de l’appareil {1} a été perdue pendant que la base était pleine.|{0} lignes de l’appareil {1} ont été perdues pendant que la base était pleine.
        Se perdió {0} línea del dispositivo {1} mientras el almacén estaba lleno.|Se perdieron {0} líneas del dispositivo {1} mientras el almacén estaba lleno.
        {0} rad från enheten {1} gick förlorad medan lagret var fullt.|{0} rader från enheten {1} gick förlorade medan lagret var fullt.";
    MORE_ROOM: "
        Make room for the store.
        Schaffen Sie Platz für den Speicher.
        Faites de la place pour la base.
        Haga sitio para el almacén.
        Gör plats för lagret.";
}
